import type { Point } from '../stage/geometry';
import type { Viewport } from '../stage/viewport';
import type { Pointer, Tool } from './tool';

export class HandTool implements Tool {
  readonly cursor = 'grab';
  private last: Point | undefined;

  constructor(private readonly viewport: Viewport) {}

  down(p: Pointer): void {
    this.last = p.screen;
  }

  move(p: Pointer): void {
    if (this.last) this.viewport.panBy(p.screen.x - this.last.x, p.screen.y - this.last.y);
    this.last = p.screen;
  }

  up(): void {
    this.last = undefined;
  }

  cancel(): void {
    this.last = undefined;
  }
}
