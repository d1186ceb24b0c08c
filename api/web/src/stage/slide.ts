import type Konva from 'konva';
import type { Viewport } from './viewport';

/** So many elements on the screen are too many to be drawn again with every frame of a pan. */
const CROWD = 300;
/** Milliseconds from one drawing to the next while a crowd is moved, for each element. */
const PER_ELEMENT = 0.2;
const LONGEST = 250;
/** Milliseconds without a move after which everything is drawn again, sharp and whole. */
const REST = 90;
/** How much larger or smaller what was drawn may be shown meanwhile. */
const STRETCH = 2;

/**
 * Lets a layer of many elements follow the view by moving the canvas that it was drawn on. What comes into view at the edges, and what is
 * too soft, is drawn a moment later.
 */
export class Slide {
  private drawn = { x: 0, y: 0, scale: 1, at: 0 };
  private rest: ReturnType<typeof setTimeout> | undefined;

  /** `redraw` asks for the layer to be drawn. */
  constructor(private readonly layer: Konva.Layer, private readonly viewport: Viewport, private readonly redraw: () => void) {}

  destroy(): void {
    clearTimeout(this.rest);
  }

  /** Moves what is drawn to where the view is; false where it has to be drawn. `count` is how many elements are on the screen. */
  follow(now: number, count: number): boolean {
    const { drawn, viewport } = this;
    const k = viewport.scale / drawn.scale;
    if (count < CROWD || k > STRETCH || k < 1 / STRETCH || now - drawn.at > Math.min(LONGEST, count * PER_ELEMENT)) return false;
    this.style.transformOrigin = '0 0';
    this.style.transform = `translate(${viewport.x - drawn.x * k}px, ${viewport.y - drawn.y * k}px) scale(${k})`;
    clearTimeout(this.rest);
    this.rest = setTimeout(this.redraw, REST);
    return true;
  }

  /** The layer was drawn for the view as it is. */
  settle(now: number): void {
    clearTimeout(this.rest);
    const { x, y, scale } = this.viewport;
    this.drawn = { x, y, scale, at: now };
    this.style.transform = '';
  }

  private get style(): CSSStyleDeclaration {
    return this.layer.getNativeCanvasElement().style;
  }
}
