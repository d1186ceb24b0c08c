import Konva from 'konva';
import type { Element } from '../protocol';
import type { Session } from '../sync/session';
import { comparePaintOrder } from '../sync/zkey';
import { Signal } from '../util/emitter';
import { Bitmaps } from './bitmaps';
import { bounds, overlaps, type Box } from './geometry';
import { ImageNode } from './nodes/image';
import { makeNode } from './nodes/make';
import type { ElementNode } from './nodes/node';
import { VideoNode } from './nodes/video';
import { Slide } from './slide';
import { Smoother } from './smoother';
import { onThemeChange } from './theme';
import type { Viewport } from './viewport';

/** How far beyond the screen pictures are loaded, in screens; coarsely, with so many pixels; and after all that is seen (added to pixels of distance). */
const NEAR = 0.75;
const COARSE = 256;
const UNSEEN = 1e6;

/** Milliseconds in which pictures that come while many are loaded are drawn together. */
const GATHER = 150;

interface Shown {
  node: ElementNode;
  element: Element;
  box: Box;
}

/** Keeps one Konva node for each element, in paint order, and draws a frame only when something changed. */
export class Scene {
  readonly layer = new Konva.Layer({ listening: false });
  readonly bitmaps: Bitmaps;
  /** Runs once a frame, after the elements are up to date: overlays follow here. */
  readonly drawn = new Signal();

  private shown = new Map<string, Shown>();
  private dirty = new Set<string>();
  private hidden = new Set<string>();
  private smoother = new Smoother();
  private frame = 0;
  private lastFrame = 0;
  private stale = true;
  /** How many elements are on the screen. */
  private seen = 0;
  private readonly slide: Slide;
  private gathering: ReturnType<typeof setTimeout> | undefined;
  private offs: (() => void)[];

  constructor(private readonly session: Session, private readonly viewport: Viewport) {
    this.bitmaps = new Bitmaps(() => session.identity.token, (asset) => session.pictures.get(asset)?.placeholder);
    this.slide = new Slide(this.layer, viewport, () => this.request());
    this.offs = [
      session.doc.changed.on((ids) => this.touch(ids)),
      session.previews.changed.on((ids) => this.touch(ids)),
      session.connection.phases.on((phase) => phase === 'live' && this.bitmaps.retryAll()),
      this.bitmaps.changed.on(() => this.arrived()),
      session.picturesKnown.on((assets) => this.bitmaps.known(assets)),
      viewport.changed.on(() => this.move()),
      onThemeChange(() => this.touch(this.shown.keys())),
    ];
    this.touch(session.doc.elements().map((e) => e.id));
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.gathering);
    this.slide.destroy();
    for (const off of this.offs) off();
    for (const { node } of this.shown.values()) node.destroy();
    this.bitmaps.destroy();
    this.layer.destroy();
  }

  /** Has everything drawn with the next frame. */
  request(): void {
    this.stale = true;
    this.move();
  }

  /** The view is another: drawn with the next frame, or moved there where that is too much. */
  private move(): void {
    if (this.frame === 0) this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  /** Another picture can be drawn: where many are on their way, several together. */
  private arrived(): void {
    if (!this.bitmaps.busy) return this.request();
    this.gathering ??= setTimeout(() => {
      this.gathering = undefined;
      this.request();
    }, GATHER);
  }

  /** Not drawn while its text is typed in a field above it. */
  hide(id: string, hidden: boolean): void {
    if (hidden) this.hidden.add(id);
    else this.hidden.delete(id);
    this.request();
  }

  toggleVideo(id: string): boolean {
    const node = this.shown.get(id)?.node;
    if (!(node instanceof VideoNode)) return false;
    node.toggle();
    return true;
  }

  private touch(ids: Iterable<string>): void {
    for (const id of ids) this.dirty.add(id);
    this.request();
  }

  private tick(now: number): void {
    this.frame = 0;
    const dt = Math.min(100, now - this.lastFrame);
    this.lastFrame = now;
    if (!this.stale && this.slide.follow(now, this.seen)) return this.drawn.emit();
    this.stale = false;
    const dirty = this.dirty;
    this.dirty = new Set(this.smoother.ids());
    for (const id of this.dirty) dirty.add(id);
    let reorder = false;
    for (const id of dirty) reorder = this.refresh(id, dt) || reorder;
    if (reorder) this.sort();
    this.place();
    this.layer.draw();
    this.slide.settle(now);
    this.drawn.emit();
    if (this.smoother.active) this.request();
  }

  /** Brings one node up to date; true where paint order may have changed. */
  private refresh(id: string, dt: number): boolean {
    const target = this.session.shown(id);
    const present = this.shown.get(id);
    if (!target) {
      this.smoother.stop(id);
      present?.node.destroy();
      this.shown.delete(id);
      return false;
    }
    if (present && this.session.previews.isRemote(id)) this.smoother.start(id, present.element);
    const element = this.smoother.step(target, dt);
    if (present) {
      const moved = present.element.z !== element.z;
      present.element = element;
      present.node.update(element);
      present.box = bounds(element);
      return moved;
    }
    const node = makeNode(element, { bitmaps: this.bitmaps, redraw: () => this.touch([id]) });
    node.update(element);
    this.layer.add(node.group);
    this.shown.set(id, { node, element, box: bounds(element) });
    return true;
  }

  private sort(): void {
    const sorted = [...this.shown.values()].sort((a, b) => comparePaintOrder(a.element, b.element));
    const children = this.layer.children as unknown as Konva.Node[];
    sorted.forEach(({ node }, i) => {
      children[i] = node.group;
      node.group.index = i;
    });
  }

  /** Moves the layer to the viewport, hides what lies outside of it, and has the pictures loaded that are seen or may be soon. */
  private place(): void {
    const { x, y, scale } = this.viewport;
    this.layer.setAttrs({ x, y, scaleX: scale, scaleY: scale });
    const visible = this.viewport.visible();
    const seen = grown(visible, 40 / scale);
    const near = grown(visible, Math.max(visible.width, visible.height) * NEAR);
    const middle = this.viewport.center();
    const pixels = scale * devicePixelRatio;
    this.bitmaps.begin();
    this.seen = 0;
    for (const [id, { node, box }] of this.shown) {
      const show = overlaps(box, seen) && !this.hidden.has(id);
      if (show) this.seen++;
      if (node.group.visible() !== show) node.group.visible(show);
      if (!(node instanceof ImageNode)) continue;
      if (show || overlaps(box, near)) {
        const wants = node.wants(pixels);
        const away = Math.hypot(box.x + box.width / 2 - middle.x, box.y + box.height / 2 - middle.y) * scale;
        for (const src of wants.sources) this.bitmaps.need(src, show ? wants.pixels : Math.min(wants.pixels, COARSE), show ? away : away + UNSEEN);
      }
      if (show) node.paint();
      else node.forget();
    }
    this.bitmaps.end();
  }
}

const grown = (b: Box, by: number): Box => ({ x: b.x - by, y: b.y - by, width: b.width + 2 * by, height: b.height + 2 * by });
