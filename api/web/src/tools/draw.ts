import Konva from 'konva';
import type { Editor, ToolName } from '../editor/editor';
import type { Element } from '../protocol';
import { boxOfPoints, type Point } from '../stage/geometry';
import { ink } from '../stage/theme';
import { newId } from '../util/ids';
import type { Pointer, Tool } from './tool';

/** Pixels under which a drag counts as a click: the shape gets its usual size. */
const CLICK = 4;
const USUAL = { rect: [160, 110], ellipse: [140, 140], note: [180, 180], arrow: [160, 0] } as const;
/** Most points of one stroke: an element may have 64 KiB. */
const MAX_POINTS = 2_500;
/** Pixels between two points of a stroke. */
const SPACING = 2;

const round = (n: number): number => Math.round(n * 10) / 10;

/** Rectangle, ellipse, note: drawn by dragging from corner to corner, or by a click. Shift makes it square. */
export class BoxTool implements Tool {
  readonly cursor = 'crosshair';
  private start: Pointer | undefined;
  private readonly ghost: Konva.Rect;

  constructor(private readonly editor: Editor, private readonly layer: Konva.Layer, private readonly kind: 'rect' | 'ellipse' | 'note') {
    this.ghost = new Konva.Rect({ listening: false, visible: false, stroke: '#5b5bf0', strokeWidth: 1.5, cornerRadius: 4 });
    layer.add(this.ghost);
  }

  down(p: Pointer): void {
    this.start = p;
  }

  move(p: Pointer): void {
    if (!this.start) return;
    const box = this.box(this.start.canvas, p);
    const at = this.editor.viewport.toScreen(box);
    const k = this.editor.viewport.scale;
    const radius = this.kind === 'ellipse' ? Math.min(box.width, box.height) * k : 4;
    this.ghost.setAttrs({ visible: true, ...at, width: box.width * k, height: box.height * k, cornerRadius: radius });
    this.layer.batchDraw();
  }

  up(p: Pointer): void {
    const start = this.start;
    this.cancel();
    if (!start) return;
    const clicked = Math.hypot(p.screen.x - start.screen.x, p.screen.y - start.screen.y) < CLICK;
    const [w, h] = USUAL[this.kind];
    const box = clicked ? { x: start.canvas.x - w / 2, y: start.canvas.y - h / 2, width: w, height: h } : this.box(start.canvas, p);
    const element = this.element({ x: round(box.x), y: round(box.y), width: Math.max(1, round(box.width)), height: Math.max(1, round(box.height)) });
    if (!this.editor.add([element], false)) return;
    finish(this.editor, [element.id]);
    if (this.kind === 'note') this.editor.textRequested.emit({ id: element.id });
  }

  cancel(): void {
    this.start = undefined;
    this.ghost.visible(false);
    this.layer.batchDraw();
  }

  private box(from: Point, p: Pointer) {
    const box = boxOfPoints([[from.x, from.y], [p.canvas.x, p.canvas.y]]);
    if (!p.shift && this.kind !== 'note') return box;
    const side = Math.max(box.width, box.height);
    return { x: p.canvas.x < from.x ? from.x - side : from.x, y: p.canvas.y < from.y ? from.y - side : from.y, width: side, height: side };
  }

  private element(box: { x: number; y: number; width: number; height: number }): Element {
    const { style } = this.editor;
    const base = { id: newId(), rotation: 0, ...box };
    if (this.kind === 'note') return { ...base, type: 'note', text: '', fill: '#ffe08a', fontSize: 20 };
    return { ...base, type: 'shape', shape: this.kind, fill: style.fill, stroke: style.stroke, strokeWidth: style.strokeWidth };
  }
}

/** Arrows (two points) and free-hand strokes (many). */
export class LineTool implements Tool {
  readonly cursor = 'crosshair';
  private points: Point[] = [];
  private readonly ghost: Konva.Line;

  constructor(private readonly editor: Editor, private readonly layer: Konva.Layer, private readonly kind: 'arrow' | 'pen') {
    this.ghost = new Konva.Line({ points: [], listening: false, visible: false, lineCap: 'round', lineJoin: 'round', tension: kind === 'pen' ? 0.35 : 0 });
    layer.add(this.ghost);
  }

  down(p: Pointer): void {
    this.points = [p.canvas];
  }

  move(p: Pointer): void {
    const last = this.points.at(-1);
    if (!last) return;
    if (this.kind === 'arrow') this.points = [this.points[0]!, p.shift ? snapped(this.points[0]!, p.canvas) : p.canvas];
    else if (Math.hypot(p.canvas.x - last.x, p.canvas.y - last.y) * this.editor.viewport.scale >= SPACING && this.points.length < MAX_POINTS) this.points.push(p.canvas);
    this.show();
  }

  up(): void {
    const points = this.points;
    this.cancel();
    if (points.length === 0) return;
    if (points.length === 1) points.push({ x: points[0]!.x + (this.kind === 'arrow' ? USUAL.arrow[0] : 0.1), y: points[0]!.y });
    const element = this.element(points);
    if (this.editor.add([element], false) && this.kind === 'arrow') finish(this.editor, [element.id]);
  }

  cancel(): void {
    this.points = [];
    this.ghost.visible(false);
    this.layer.batchDraw();
  }

  private show(): void {
    const { viewport, style } = this.editor;
    const flat = this.points.flatMap((p) => {
      const s = viewport.toScreen(p);
      return [s.x, s.y];
    });
    this.ghost.setAttrs({ visible: true, points: flat, stroke: ink(style.stroke), strokeWidth: style.strokeWidth * viewport.scale });
    this.layer.batchDraw();
  }

  private element(points: Point[]): Element {
    const { style } = this.editor;
    const box = boxOfPoints(points.map((p) => [p.x, p.y] as const));
    const relative = points.map((p): [number, number] => [round(p.x - box.x), round(p.y - box.y)]);
    const base = { id: newId(), x: round(box.x), y: round(box.y), width: round(box.width), height: round(box.height), rotation: 0, points: relative, stroke: style.stroke, strokeWidth: style.strokeWidth };
    return this.kind === 'pen' ? { ...base, type: 'path' } : { ...base, type: 'shape', shape: 'arrow' };
  }
}

/** To the nearest eighth of a turn. */
function snapped(from: Point, to: Point): Point {
  const length = Math.hypot(to.x - from.x, to.y - from.y);
  const angle = (Math.round(Math.atan2(to.y - from.y, to.x - from.x) / (Math.PI / 4)) * Math.PI) / 4;
  return { x: from.x + Math.cos(angle) * length, y: from.y + Math.sin(angle) * length };
}

/** Shapes are drawn one at a time: back to the select tool, with the new one selected. */
function finish(editor: Editor, ids: string[]): void {
  editor.setTool('select' satisfies ToolName);
  editor.selection.set(ids);
}

export class TextTool implements Tool {
  readonly cursor = 'text';
  private start: Pointer | undefined;

  constructor(private readonly editor: Editor) {}

  down(p: Pointer): void {
    this.start = p;
  }

  move(): void {}

  up(): void {
    if (this.start) this.editor.textRequested.emit({ at: this.start.canvas });
    this.start = undefined;
  }

  cancel(): void {
    this.start = undefined;
  }
}
