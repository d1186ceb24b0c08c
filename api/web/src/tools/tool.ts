import type { Point } from '../stage/geometry';

export interface Pointer {
  /** In CSS pixels of the stage. */
  screen: Point;
  canvas: Point;
  shift: boolean;
  alt: boolean;
  /** Ctrl, or Cmd on a Mac. */
  mod: boolean;
  touch: boolean;
}

/** What the main pointer does while a tool is chosen. `cancel` takes back what was begun: a second finger came, or Escape. */
export interface Tool {
  readonly cursor: string;
  down(p: Pointer): void;
  move(p: Pointer): void;
  up(p: Pointer): void;
  cancel(): void;
  doubleClick?(p: Pointer): void;
  /** The pointer moves without being pressed. */
  hover?(p: Pointer): string | undefined;
}
