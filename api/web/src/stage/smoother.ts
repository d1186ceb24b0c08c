import type { Element } from '../protocol';

/** Milliseconds in which the shown value covers 63 % of the way to the newest one: hides that news come 30 times a second. */
const TIME = 45;
const KEYS = ['x', 'y', 'width', 'height', 'rotation'] as const;
/** Below this difference (canvas units or degrees) the way is over. */
const CLOSE = 0.05;

/** Moves elements that others drag smoothly to where they are. */
export class Smoother {
  private shown = new Map<string, Element>();

  get active(): boolean {
    return this.shown.size > 0;
  }

  ids(): string[] {
    return [...this.shown.keys()];
  }

  has(id: string): boolean {
    return this.shown.has(id);
  }

  /** From where the element is seen now. */
  start(id: string, from: Element): void {
    if (!this.shown.has(id)) this.shown.set(id, from);
  }

  stop(id: string): void {
    this.shown.delete(id);
  }

  /** What to show this frame, dt ms after the last; ends by itself at the target. */
  step(target: Element, dt: number): Element {
    const from = this.shown.get(target.id);
    if (!from) return target;
    const k = 1 - Math.exp(-dt / TIME);
    const next: Element = { ...target };
    let far = false;
    for (const key of KEYS) {
      const [a, b] = [from[key], target[key]];
      if (typeof a !== 'number' || typeof b !== 'number') continue;
      const way = key === 'rotation' ? shortest(b - a) : b - a;
      if (Math.abs(way) < CLOSE) continue;
      next[key] = key === 'rotation' ? b - way * (1 - k) : a + way * k;
      far = true;
    }
    if (far) this.shown.set(target.id, next);
    else this.shown.delete(target.id);
    return far ? next : target;
  }
}

const shortest = (degrees: number): number => ((((degrees + 180) % 360) + 360) % 360) - 180;
