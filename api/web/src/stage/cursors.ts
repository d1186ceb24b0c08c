import type { Session } from '../sync/session';
import { h } from '../util/dom';
import type { Viewport } from './viewport';

interface Cursor {
  node: HTMLElement;
  x: number;
  y: number;
  targetX: number;
  targetY: number;
  heard: number;
}

/** Milliseconds in which a cursor covers 63 % of its way. */
const TIME = 40;
/** Milliseconds without news after which a cursor fades. */
const IDLE = 12_000;

/** The others' cursors: with name and colour, moved smoothly, in canvas coordinates. */
export class Cursors {
  readonly root = h('div', { class: 'cursors', 'aria-hidden': 'true' });
  private cursors = new Map<string, Cursor>();
  private frame = 0;
  private last = 0;
  private offs: (() => void)[];

  constructor(session: Session, private readonly viewport: Viewport) {
    this.offs = [
      session.cursorMoved.on((id, user, at) => (at ? this.moved(id, user?.name ?? '', user?.color ?? '#888', at) : this.remove(id))),
      session.presence.left.on((id) => this.remove(id)),
      viewport.changed.on(() => this.request()),
    ];
  }

  /** Cursors by session, as they are shown: for tests. */
  positions(): Record<string, { x: number; y: number; name: string }> {
    return Object.fromEntries([...this.cursors].map(([id, c]) => [id, { x: c.targetX, y: c.targetY, name: c.node.textContent ?? '' }]));
  }

  destroy(): void {
    cancelAnimationFrame(this.frame);
    for (const off of this.offs) off();
    this.root.remove();
  }

  private moved(id: string, name: string, color: string, at: { x: number; y: number }): void {
    let cursor = this.cursors.get(id);
    if (!cursor) {
      cursor = { node: drawCursor(name, color), x: at.x, y: at.y, targetX: at.x, targetY: at.y, heard: 0 };
      this.root.append(cursor.node);
      this.cursors.set(id, cursor);
    }
    cursor.targetX = at.x;
    cursor.targetY = at.y;
    cursor.heard = performance.now();
    this.request();
  }

  private remove(id: string): void {
    this.cursors.get(id)?.node.remove();
    this.cursors.delete(id);
  }

  private request(): void {
    if (this.frame === 0 && this.cursors.size > 0) this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  private tick(now: number): void {
    this.frame = 0;
    const k = 1 - Math.exp(-Math.min(100, now - this.last) / TIME);
    this.last = now;
    let again = false;
    for (const cursor of this.cursors.values()) {
      cursor.x += (cursor.targetX - cursor.x) * k;
      cursor.y += (cursor.targetY - cursor.y) * k;
      if (Math.hypot(cursor.targetX - cursor.x, cursor.targetY - cursor.y) * this.viewport.scale > 0.3) again = true;
      const p = this.viewport.toScreen(cursor);
      cursor.node.style.transform = `translate(${p.x}px, ${p.y}px)`;
      cursor.node.classList.toggle('idle', now - cursor.heard > IDLE);
    }
    if (again) this.request();
  }
}

function drawCursor(name: string, color: string): HTMLElement {
  const node = h('div', { class: 'cursor', testid: 'cursor' });
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  path.setAttribute('d', 'M2 2l5.6 15.2 2.3-6.6 6.7-2.2z');
  path.setAttribute('fill', color);
  svg.append(path);
  node.append(svg, h('span', { text: name, style: { background: color, color: readable(color) } }));
  return node;
}

/** Black or white, whichever can be read on the colour. */
export function readable(color: string): string {
  const n = parseInt(/^#([0-9a-f]{6})/i.exec(color)?.[1] ?? '888888', 16);
  const light = 0.299 * (n >> 16) + 0.587 * ((n >> 8) & 255) + 0.114 * (n & 255);
  return light > 150 ? '#1b1b1f' : '#ffffff';
}
