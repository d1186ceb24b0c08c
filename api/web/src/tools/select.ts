import Konva from 'konva';
import type { Editor } from '../editor/editor';
import { copies } from '../editor/editor';
import type { Element, Members } from '../protocol';
import { bounds, boxOfPoints, overlaps, topmostAt, type Box, type Point } from '../stage/geometry';
import type { TransformBox } from '../stage/transform-box';
import type { Pointer, Tool } from './tool';

/** Pixels that the pointer moves before a press becomes a drag. */
const THRESHOLD = 3;
/** Pixels around thin things that still hit them. */
const SLACK = 5;

type Gesture =
  | { kind: 'press'; start: Pointer; hit: Element | undefined; wasSelected: boolean }
  | { kind: 'move'; start: Point; from: Map<string, Point> }
  | { kind: 'marquee'; start: Point; before: string[] };

/** Select by click, shift-click and marquee; move by dragging; alt-drag leaves a copy behind. */
export class SelectTool implements Tool {
  readonly cursor = 'default';
  private gesture: Gesture | undefined;
  private readonly marquee = new Konva.Rect({ listening: false, visible: false, fill: 'rgba(91,91,240,0.1)', stroke: '#5b5bf0', strokeWidth: 1 });

  constructor(private readonly editor: Editor, private readonly handles: TransformBox, private readonly layer: Konva.Layer) {
    layer.add(this.marquee);
  }

  down(p: Pointer): void {
    const hit = this.at(p);
    const wasSelected = hit !== undefined && this.editor.selection.has(hit.id);
    if (hit && !wasSelected && !p.shift) this.editor.selection.set([hit.id]);
    this.gesture = { kind: 'press', start: p, hit, wasSelected };
  }

  move(p: Pointer): void {
    const gesture = this.gesture;
    if (gesture?.kind === 'press') this.begin(gesture, p);
    else if (gesture?.kind === 'move') this.drag(gesture, p);
    else if (gesture?.kind === 'marquee') this.stretch(gesture, p);
  }

  up(p: Pointer): void {
    const gesture = this.gesture;
    this.gesture = undefined;
    if (gesture?.kind === 'press') this.click(gesture);
    else if (gesture?.kind === 'move') this.drop(gesture, p);
    else this.hideMarquee();
  }

  cancel(): void {
    const gesture = this.gesture;
    this.gesture = undefined;
    this.hideMarquee();
    if (gesture?.kind !== 'move') return;
    this.editor.session.endPreview();
    this.handles.setHidden(false);
  }

  hover(p: Pointer): string | undefined {
    return this.at(p) && this.editor.canEdit ? 'move' : undefined;
  }

  doubleClick(p: Pointer): void {
    const hit = this.at(p);
    if (hit && this.editor.scene.toggleVideo(hit.id)) return;
    if (!this.editor.canEdit) return;
    if (hit?.type === 'text' || hit?.type === 'note') this.editor.textRequested.emit({ id: hit.id });
    else if (!hit) this.editor.textRequested.emit({ at: p.canvas });
  }

  private at(p: Pointer): Element | undefined {
    const slack = (p.touch ? SLACK * 2 : SLACK) / this.editor.viewport.scale;
    return topmostAt(this.editor.session.doc.elements(), p.canvas, slack);
  }

  private click(gesture: Extract<Gesture, { kind: 'press' }>): void {
    const { hit, start } = gesture;
    if (!hit) {
      if (!start.shift) this.editor.selection.clear();
    } else if (start.shift) this.editor.selection.toggle(hit.id);
    else this.editor.selection.set([hit.id]);
  }

  private begin(gesture: Extract<Gesture, { kind: 'press' }>, p: Pointer): void {
    const { start, hit } = gesture;
    if (Math.hypot(p.screen.x - start.screen.x, p.screen.y - start.screen.y) < THRESHOLD) return;
    if (hit && this.editor.canEdit) {
      if (start.shift) this.editor.selection.set([...this.editor.selection.list(), hit.id]);
      if (p.alt) this.leaveCopy();
      const from = new Map(this.editor.selected().map((e) => [e.id, { x: e.x ?? 0, y: e.y ?? 0 }]));
      this.gesture = { kind: 'move', start: start.canvas, from };
      this.handles.setHidden(true);
    } else {
      this.gesture = { kind: 'marquee', start: start.canvas, before: start.shift ? this.editor.selection.list() : [] };
    }
    this.move(p);
  }

  private leaveCopy(): void {
    this.editor.add(copies(this.editor.selectedInPaintOrder(), 0, 0));
  }

  private drag(gesture: Extract<Gesture, { kind: 'move' }>, p: Pointer): void {
    this.editor.session.showPreview(moved(gesture, p));
  }

  private drop(gesture: Extract<Gesture, { kind: 'move' }>, p: Pointer): void {
    this.editor.patch(moved(gesture, p));
    this.editor.session.endPreview();
    this.handles.setHidden(false);
  }

  private stretch(gesture: Extract<Gesture, { kind: 'marquee' }>, p: Pointer): void {
    const box = boxOfPoints([[gesture.start.x, gesture.start.y], [p.canvas.x, p.canvas.y]]);
    this.showMarquee(box);
    const inside = this.editor.session.doc.elements().filter((e) => overlaps(bounds(e), box)).map((e) => e.id);
    this.editor.selection.set([...gesture.before, ...inside]);
  }

  private showMarquee(box: Box): void {
    const { viewport } = this.editor;
    const p = viewport.toScreen(box);
    this.marquee.setAttrs({ visible: true, x: p.x, y: p.y, width: box.width * viewport.scale, height: box.height * viewport.scale });
    this.layer.batchDraw();
  }

  private hideMarquee(): void {
    this.marquee.visible(false);
    this.layer.batchDraw();
  }
}

/** Where everything is when the pointer is at p; with shift along one axis only. */
function moved(gesture: Extract<Gesture, { kind: 'move' }>, p: Pointer): Map<string, Members> {
  let dx = p.canvas.x - gesture.start.x;
  let dy = p.canvas.y - gesture.start.y;
  if (p.shift) [dx, dy] = Math.abs(dx) > Math.abs(dy) ? [dx, 0] : [0, dy];
  return new Map([...gesture.from].map(([id, at]) => [id, { x: Math.round((at.x + dx) * 100) / 100, y: Math.round((at.y + dy) * 100) / 100 }]));
}
