import type Konva from 'konva';
import type { Editor, ToolName } from '../editor/editor';
import type { Point } from '../stage/geometry';
import { HandTool } from './hand';
import type { Pointer, Tool } from './tool';

/** Milliseconds and pixels within which two clicks are a double click. */
const DOUBLE_TIME = 400;
const DOUBLE_DISTANCE = 6;
/** Milliseconds after a small wheel step in which large ones are still the trackpad's. */
const TRACKPAD_MEMORY = 500;
/** Part of a wheel step that becomes zoom; pinches of a trackpad come in smaller steps. */
const WHEEL = 0.0015;
const PINCH = 0.01;

/** Turns pointers, wheel and fingers into what tools understand; panning and zooming work with every tool. */
export class Gestures {
  /** Where the pointer is on the canvas, while it is over the stage. */
  pointer: Point | undefined;
  private readonly active = new Map<number, Point>();
  private tool: Tool | undefined;
  private main: number | undefined;
  private pinch: { distance: number; center: Point } | undefined;
  private lastClick = { time: 0, at: { x: 0, y: 0 } };
  private space = false;
  private trackpadAt = -Infinity;
  private readonly hand: HandTool;
  private readonly stop = new AbortController();

  constructor(
    private readonly container: HTMLElement,
    private readonly editor: Editor,
    private readonly overlay: Konva.Layer,
    private readonly tools: Record<ToolName, Tool>,
  ) {
    this.hand = new HandTool(editor.viewport);
    const options = { signal: this.stop.signal };
    container.addEventListener('pointerdown', (e) => this.down(e), options);
    container.addEventListener('pointermove', (e) => this.move(e), options);
    container.addEventListener('pointerup', (e) => this.up(e), options);
    container.addEventListener('pointercancel', (e) => this.up(e, true), options);
    container.addEventListener('pointerleave', () => (this.pointer = undefined), options);
    container.addEventListener('wheel', (e) => this.wheel(e), { ...options, passive: false });
    container.addEventListener('contextmenu', (e) => e.preventDefault(), options);
    editor.toolChanged.on(() => this.showCursor());
    this.showCursor();
  }

  destroy(): void {
    this.stop.abort();
  }

  /** The space bar makes any tool a hand. */
  setSpace(held: boolean): void {
    this.space = held;
    this.showCursor();
  }

  /** Escape: what was begun is taken back. True where there was something. */
  cancel(): boolean {
    if (!this.tool) return false;
    this.tool.cancel();
    this.tool = undefined;
    return true;
  }

  private down(event: PointerEvent): void {
    const p = this.read(event);
    if (event.pointerType === 'touch' || this.active.size === 0) this.active.set(event.pointerId, p.screen);
    if (document.activeElement instanceof HTMLElement && document.activeElement !== document.body) document.activeElement.blur();
    if (this.active.size === 2) return this.startPinch();
    if (this.active.size > 2) return;
    const wantsPan = event.button === 1 || this.space || this.editor.tool === 'hand';
    if (!wantsPan && (event.button !== 0 || this.overHandle(p.screen))) {
      this.active.delete(event.pointerId);
      return;
    }
    event.preventDefault();
    this.container.setPointerCapture(event.pointerId);
    this.main = event.pointerId;
    this.tool = wantsPan ? this.hand : this.tools[this.editor.tool];
    this.container.style.cursor = wantsPan ? 'grabbing' : this.tool.cursor;
    this.tool.down(p);
  }

  private move(event: PointerEvent): void {
    const p = this.read(event);
    this.pointer = p.canvas;
    this.editor.session.moveCursor(p.canvas.x, p.canvas.y);
    if (this.active.has(event.pointerId)) this.active.set(event.pointerId, p.screen);
    if (this.pinch) this.movePinch();
    else if (this.tool && event.pointerId === this.main) this.tool.move(p);
    else if (this.active.size === 0) this.hover(p);
  }

  private up(event: PointerEvent, cancelled = false): void {
    const known = this.active.delete(event.pointerId);
    if (this.pinch) {
      if (this.active.size < 2) this.pinch = undefined;
      return;
    }
    if (!known || event.pointerId !== this.main) return;
    const tool = this.tool;
    this.tool = undefined;
    this.main = undefined;
    const p = this.read(event);
    if (cancelled) tool?.cancel();
    else tool?.up(p);
    this.showCursor();
    if (!cancelled && tool !== this.hand) this.countClick(p);
  }

  private countClick(p: Pointer): void {
    const now = performance.now();
    const { time, at } = this.lastClick;
    const double = now - time < DOUBLE_TIME && Math.hypot(p.screen.x - at.x, p.screen.y - at.y) < DOUBLE_DISTANCE;
    this.lastClick = { time: double ? 0 : now, at: p.screen };
    if (double) this.tools[this.editor.tool].doubleClick?.(p);
  }

  private hover(p: Pointer): void {
    if (this.space || this.overHandle(p.screen)) return;
    const tool = this.tools[this.editor.tool];
    this.container.style.cursor = tool.hover?.(p) ?? tool.cursor;
  }

  private wheel(event: WheelEvent): void {
    event.preventDefault();
    const { viewport } = this.editor;
    const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      const speed = Math.abs(event.deltaY) < 50 ? PINCH : WHEEL;
      viewport.zoomAt(Math.exp(-event.deltaY * lines * speed), this.read(event).screen);
    } else if (this.isMouseWheel(event)) viewport.zoomAt(Math.exp(-event.deltaY * lines * WHEEL), this.read(event).screen);
    else if (event.shiftKey && event.deltaX === 0) viewport.panBy(-event.deltaY * lines, 0);
    else viewport.panBy(-event.deltaX * lines, -event.deltaY * lines);
  }

  /** A notch of a mouse wheel zooms; a trackpad, whose steps are small or go sideways, pans. */
  private isMouseWheel(event: WheelEvent): boolean {
    if (event.shiftKey) return false;
    const notch = event.deltaX === 0 && (event.deltaMode !== WheelEvent.DOM_DELTA_PIXEL || (Number.isInteger(event.deltaY) && Math.abs(event.deltaY) >= 100));
    if (!notch) this.trackpadAt = event.timeStamp;
    return notch && event.timeStamp - this.trackpadAt > TRACKPAD_MEMORY;
  }

  private startPinch(): void {
    this.cancel();
    this.main = undefined;
    this.pinch = this.fingers();
  }

  private movePinch(): void {
    const before = this.pinch;
    const now = this.fingers();
    if (!before || !now) return;
    const { viewport } = this.editor;
    viewport.panBy(now.center.x - before.center.x, now.center.y - before.center.y);
    if (before.distance > 0) viewport.zoomAt(now.distance / before.distance, now.center);
    this.pinch = now;
  }

  private fingers(): { distance: number; center: Point } | undefined {
    const [a, b] = [...this.active.values()];
    if (!a || !b) return undefined;
    return { distance: Math.hypot(a.x - b.x, a.y - b.y), center: { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 } };
  }

  private overHandle(p: Point): boolean {
    return this.overlay.getIntersection(p) !== null;
  }

  private showCursor(): void {
    this.container.style.cursor = this.space ? 'grab' : this.tools[this.editor.tool].cursor;
  }

  private read(event: MouseEvent): Pointer {
    const rect = this.container.getBoundingClientRect();
    const screen = { x: event.clientX - rect.left, y: event.clientY - rect.top };
    const touch = event instanceof PointerEvent && event.pointerType === 'touch';
    return { screen, canvas: this.editor.viewport.toCanvas(screen), shift: event.shiftKey, alt: event.altKey, mod: event.ctrlKey || event.metaKey, touch };
  }
}
