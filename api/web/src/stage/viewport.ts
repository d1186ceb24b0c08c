import { Signal } from '../util/emitter';
import type { Box, Point } from './geometry';

export const MIN_SCALE = 0.02;
export const MAX_SCALE = 20;
/** Milliseconds of a flight to another place. */
const FLIGHT = 220;

/** What part of the canvas the screen shows: screen = canvas × scale + (x, y). */
export class Viewport {
  readonly changed = new Signal();
  x = 0;
  y = 0;
  scale = 1;
  width = 1;
  height = 1;
  private flight = 0;

  toCanvas(p: Point): Point {
    return { x: (p.x - this.x) / this.scale, y: (p.y - this.y) / this.scale };
  }

  toScreen(p: Point): Point {
    return { x: p.x * this.scale + this.x, y: p.y * this.scale + this.y };
  }

  /** The shown part of the canvas. */
  visible(): Box {
    return { ...this.toCanvas({ x: 0, y: 0 }), width: this.width / this.scale, height: this.height / this.scale };
  }

  center(): Point {
    return this.toCanvas({ x: this.width / 2, y: this.height / 2 });
  }

  resize(width: number, height: number): void {
    this.width = Math.max(1, width);
    this.height = Math.max(1, height);
    this.changed.emit();
  }

  panBy(dx: number, dy: number): void {
    this.set(this.x + dx, this.y + dy, this.scale);
  }

  /** Zooms so that what is under the screen point stays there. */
  zoomAt(factor: number, p: Point): void {
    this.zoomTo(this.scale * factor, p);
  }

  zoomTo(scale: number, p: Point = { x: this.width / 2, y: this.height / 2 }): void {
    const next = clampScale(scale);
    const fixed = this.toCanvas(p);
    this.set(p.x - fixed.x * next, p.y - fixed.y * next, next);
  }

  /** Shows the whole box, at most at 100 %. */
  fit(box: Box | undefined, animate = true): void {
    const margin = Math.min(96, this.width / 8);
    const target = box ?? { x: 0, y: 0, width: 0, height: 0 };
    const scale = clampScale(Math.min((this.width - 2 * margin) / Math.max(1, target.width), (this.height - 2 * margin) / Math.max(1, target.height), 1));
    const x = this.width / 2 - (target.x + target.width / 2) * scale;
    const y = this.height / 2 - (target.y + target.height / 2) * scale;
    if (animate && !matchMedia('(prefers-reduced-motion: reduce)').matches) this.fly(x, y, scale);
    else this.set(x, y, scale);
  }

  set(x: number, y: number, scale: number): void {
    cancelAnimationFrame(this.flight);
    this.apply(x, y, scale);
  }

  private apply(x: number, y: number, scale: number): void {
    this.x = x;
    this.y = y;
    this.scale = scale;
    this.changed.emit();
  }

  private fly(x: number, y: number, scale: number): void {
    cancelAnimationFrame(this.flight);
    const from = { x: this.x, y: this.y, scale: this.scale };
    const start = performance.now();
    const step = (now: number) => {
      const t = Math.min(1, Math.max(0, (now - start) / FLIGHT));
      const k = 1 - (1 - t) ** 3;
      if (t === 1) return this.apply(x, y, scale);
      this.apply(from.x + (x - from.x) * k, from.y + (y - from.y) * k, from.scale + (scale - from.scale) * k);
      this.flight = requestAnimationFrame(step);
    };
    this.flight = requestAnimationFrame(step);
  }
}

export const clampScale = (scale: number): number => Math.min(MAX_SCALE, Math.max(MIN_SCALE, scale));
