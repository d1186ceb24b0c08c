import Konva from 'konva';
import type { Editor } from '../editor/editor';
import type { Element, Members } from '../protocol';
import { at, fontSizeOf, isLinear, localBox, measureText, pointsOf, rotationOf } from './geometry';

const ACCENT = '#5b5bf0';
/** Smallest side after a resize, in canvas units. */
const MIN_SIDE = 4;
/** Points of a stroke that others see while it is resized; longer strokes they see at the end. */
const MAX_PREVIEW_POINTS = 200;
/** Selections larger than this have no handles: one box for each would cost more than it helps. */
const MAX_BOXES = 500;

const round = (n: number): number => Math.round(n * 100) / 100;

/**
 * The handles of the selection. Konva's Transformer works on invisible boxes in screen coordinates, one for each selected element;
 * what it does to them is translated to the elements' own members.
 */
export class TransformBox {
  private readonly boxes = new Map<string, Konva.Rect>();
  private readonly transformer: Konva.Transformer;
  private start = new Map<string, Element>();
  private busy = false;
  private hidden = false;
  private offs: (() => void)[];

  constructor(private readonly editor: Editor, private readonly layer: Konva.Layer) {
    this.transformer = new Konva.Transformer({
      borderStroke: ACCENT, borderStrokeWidth: 1.5, anchorStroke: ACCENT, anchorFill: '#fff', anchorStrokeWidth: 1.5,
      anchorSize: 10, anchorCornerRadius: 3, rotateAnchorOffset: 26, padding: 4, ignoreStroke: true, flipEnabled: false,
      rotationSnaps: [0, 45, 90, 135, 180, 225, 270, 315], rotationSnapTolerance: 4, shouldOverdrawWholeArea: false,
    });
    layer.add(this.transformer);
    this.transformer.on('transformstart', () => this.begin());
    this.transformer.on('transform', () => editor.session.showPreview(this.result(true)));
    this.transformer.on('transformend', () => this.end());
    this.offs = [editor.selection.changed.on(() => editor.scene.request()), editor.scene.drawn.on(() => this.follow())];
  }

  destroy(): void {
    for (const off of this.offs) off();
    this.transformer.destroy();
  }

  /** Hidden while the selection is dragged, so that nothing hides what is moved. */
  setHidden(hidden: boolean): void {
    this.hidden = hidden;
    this.editor.scene.request();
  }

  /** True while a handle is held. */
  get active(): boolean {
    return this.busy;
  }

  /** The boxes follow the elements, except while they lead. */
  private follow(): void {
    if (this.busy) return;
    const elements = this.editor.selection.size > MAX_BOXES ? [] : this.editor.selected();
    const ids = new Set(elements.map((e) => e.id));
    for (const [id, box] of this.boxes) {
      if (ids.has(id)) continue;
      box.destroy();
      this.boxes.delete(id);
    }
    for (const element of elements) this.lay(element);
    this.configure(elements);
    const nodes = elements.map((e) => this.boxes.get(e.id)!);
    const same = nodes.length === this.transformer.nodes().length && nodes.every((n, i) => n === this.transformer.nodes()[i]);
    if (!same) this.transformer.nodes(nodes);
    this.transformer.visible(!this.hidden && this.editor.editing === undefined);
    this.transformer.moveToTop();
    if (nodes.length) this.transformer.forceUpdate();
    this.layer.batchDraw();
  }

  private lay(element: Element): void {
    let box = this.boxes.get(element.id);
    if (!box) {
      box = new Konva.Rect({ listening: false, stroke: ACCENT });
      this.boxes.set(element.id, box);
      this.layer.add(box);
    }
    const { viewport } = this.editor;
    const local = localBox(element);
    const p = viewport.toScreen(at(element));
    const k = viewport.scale;
    const many = this.editor.selection.size > 1;
    box.setAttrs({
      x: p.x, y: p.y, rotation: rotationOf(element), scaleX: 1, scaleY: 1, skewX: 0, skewY: 0,
      width: Math.max(1, local.width * k), height: Math.max(1, local.height * k), offsetX: -local.x * k, offsetY: -local.y * k,
      strokeWidth: many ? 1 : 0, visible: !this.hidden,
    });
  }

  private configure(elements: Element[]): void {
    const [only] = elements;
    const corners = ['top-left', 'top-right', 'bottom-left', 'bottom-right'];
    const sides = ['middle-left', 'middle-right', 'top-center', 'bottom-center'];
    const free = elements.length === 1 && only !== undefined && only.type !== 'text' && only.type !== 'image' && only.type !== 'video';
    const editable = this.editor.canEdit;
    this.transformer.keepRatio(!free);
    this.transformer.resizeEnabled(editable);
    this.transformer.rotateEnabled(editable);
    const anchors = only?.type === 'text' && elements.length === 1 ? corners : elements.length === 1 ? [...corners, ...sides] : corners;
    if (this.transformer.enabledAnchors().length !== anchors.length) this.transformer.enabledAnchors(anchors);
  }

  private begin(): void {
    this.busy = true;
    this.start = new Map(this.editor.selected().map((e) => [e.id, e]));
  }

  private end(): void {
    const sets = this.result(false);
    this.busy = false;
    this.editor.patch(sets);
    this.editor.session.endPreview();
    this.editor.scene.request();
  }

  private result(preview: boolean): Map<string, Members> {
    const sets = new Map<string, Members>();
    for (const [id, element] of this.start) {
      const box = this.boxes.get(id);
      if (box) sets.set(id, this.members(element, box, preview));
    }
    return sets;
  }

  private members(element: Element, box: Konva.Rect, preview: boolean): Members {
    const p = this.editor.viewport.toCanvas({ x: box.x(), y: box.y() });
    const set: Members = { x: round(p.x), y: round(p.y), rotation: round(box.rotation()) };
    const [sx, sy] = [Math.abs(box.scaleX()), Math.abs(box.scaleY())];
    if (Math.abs(sx - 1) < 1e-6 && Math.abs(sy - 1) < 1e-6) return set;
    const local = localBox(element);
    if (element.type === 'text') {
      const fontSize = round(Math.max(4, fontSizeOf(element) * sx));
      return { ...set, fontSize, ...measureText(element.text ?? '', fontSize) };
    }
    set['width'] = round(Math.max(MIN_SIDE, local.width * sx));
    set['height'] = round(Math.max(MIN_SIDE, local.height * sy));
    const points = pointsOf(element);
    if (isLinear(element) && !(preview && points.length > MAX_PREVIEW_POINTS)) {
      set['points'] = points.map(([x, y]): [number, number] => [round(x * sx), round(y * sy)]);
    }
    return set;
  }
}
