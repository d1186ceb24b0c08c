import Konva from 'konva';
import type { Element } from '../../protocol';
import { isLinear, localBox, pointsOf } from '../geometry';
import { fillOf, ink, isDark } from '../theme';
import { ElementNode } from './node';

const widthOf = (e: Element): number => (typeof e.strokeWidth === 'number' && e.strokeWidth >= 0 ? e.strokeWidth : 2);

/** Rectangle, ellipse, line and arrow; any other shape is drawn as a labelled box. */
export class ShapeNode extends ElementNode {
  private shape: Konva.Shape | undefined;
  private kind = '';

  protected draw(element: Element): void {
    const kind = isLinear(element) ? (element.shape === 'arrow' ? 'arrow' : 'line') : element.shape === 'ellipse' ? 'ellipse' : 'rect';
    if (kind !== this.kind) this.replace(kind);
    const { width, height } = localBox(element);
    const strokeWidth = widthOf(element);
    const common = { stroke: strokeWidth > 0 ? ink(element.stroke) : undefined, strokeWidth };
    if (this.shape instanceof Konva.Ellipse) {
      this.shape.setAttrs({ ...common, x: width / 2, y: height / 2, radiusX: width / 2, radiusY: height / 2, fill: fillOf(element.fill) });
    } else if (this.shape instanceof Konva.Rect) {
      this.shape.setAttrs({ ...common, width, height, fill: fillOf(element.fill), cornerRadius: Math.min(8, width / 6, height / 6) });
    } else {
      this.shape?.setAttrs({ ...common, points: pointsOf(element).flat(), fill: common.stroke });
      if (this.shape instanceof Konva.Arrow) this.shape.setAttrs({ pointerLength: 6 + strokeWidth * 2.5, pointerWidth: 6 + strokeWidth * 2.5 });
    }
  }

  private replace(kind: string): void {
    this.shape?.destroy();
    this.kind = kind;
    const common = { listening: false, strokeScaleEnabled: true };
    if (kind === 'ellipse') this.shape = new Konva.Ellipse({ ...common, radiusX: 1, radiusY: 1 });
    else if (kind === 'rect') this.shape = new Konva.Rect(common);
    else if (kind === 'arrow') this.shape = new Konva.Arrow({ ...common, points: [], lineCap: 'round', lineJoin: 'round' });
    else this.shape = new Konva.Line({ ...common, points: [], lineCap: 'round', lineJoin: 'round' });
    this.group.add(this.shape);
  }
}

/** A free-hand stroke. */
export class PathNode extends ElementNode {
  private readonly line = new Konva.Line({ lineCap: 'round', lineJoin: 'round', tension: 0.35, listening: false });
  private points: unknown;

  protected draw(element: Element): void {
    if (this.line.getParent() === null) this.group.add(this.line);
    if (element.points !== this.points) {
      this.points = element.points;
      const points = pointsOf(element);
      // Curves of long strokes cost more than they show.
      this.line.points(points.flat());
      this.line.tension(points.length > 400 ? 0 : 0.35);
    }
    this.line.stroke(ink(element.stroke));
    this.line.strokeWidth(widthOf(element));
  }
}

/** An element of a type that this page does not know: a box that says what it is. Its members are left alone. */
export class UnknownNode extends ElementNode {
  private readonly box = new Konva.Rect({ dash: [6, 5], strokeWidth: 1.5, cornerRadius: 6, listening: false });
  private readonly label = new Konva.Text({ align: 'center', verticalAlign: 'middle', fontSize: 14, listening: false });

  protected draw(element: Element): void {
    if (this.box.getParent() === null) this.group.add(this.box, this.label);
    const { width, height } = localBox(element);
    const color = isDark() ? '#9a9aa8' : '#767b8a';
    this.box.setAttrs({ width, height, stroke: color });
    this.label.setAttrs({ width, height, fill: color, text: element.type });
  }
}
