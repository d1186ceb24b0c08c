import Konva from 'konva';
import type { Element } from '../../protocol';
import type { Bitmaps } from '../bitmaps';
import { at, rotationOf } from '../geometry';

export interface NodeContext {
  bitmaps: Bitmaps;
  /** Asks for another frame: something loaded or moved by itself. */
  redraw: () => void;
}

/** Draws one element. `update` may be called each frame of a drag: it must be cheap where little changed. */
export abstract class ElementNode {
  readonly group = new Konva.Group({ listening: false });

  constructor(protected readonly context: NodeContext) {}

  update(element: Element): void {
    const { x, y } = at(element);
    this.group.setAttrs({ x, y, rotation: rotationOf(element) });
    if (typeof element['opacity'] === 'number') this.group.opacity(Math.min(1, Math.max(0, element['opacity'])));
    this.draw(element);
  }

  destroy(): void {
    this.group.destroy();
  }

  protected abstract draw(element: Element): void;
}
