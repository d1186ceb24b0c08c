import { at, bounds, localBox, overlaps, rotate, rotationOf } from '../stage/geometry';
import type { Scene } from '../stage/scene';
import type { Viewport } from '../stage/viewport';
import type { Session } from '../sync/session';
import { h } from '../util/dom';
import { icon } from './icons';

/** What a badge says of an element that something is being done for. */
export interface BadgeState {
  kind: 'busy' | 'failed';
  /** 0 to 1; undefined where nobody knows: the ring turns. */
  progress?: number | undefined;
  text: string;
  actions: { label: string; testid: string; icon?: 'close'; run: () => void }[];
}

interface Badge {
  node: HTMLElement;
  shown: string;
}

/** Below this many pixels of the element on the screen only the ring is shown. */
const ROOMY = 110;

/** Progress, reasons and buttons in the middle of elements: of files being sent, and of pictures being made. */
export class Badges {
  readonly root = h('div', { class: 'badges' });
  private badges = new Map<string, Badge>();
  private readonly offs: (() => void)[];

  constructor(private readonly session: Session, scene: Scene, private readonly viewport: Viewport) {
    this.offs = [scene.drawn.on(() => this.place())];
  }

  destroy(): void {
    for (const off of this.offs) off();
    this.root.remove();
  }

  set(id: string, state: BadgeState | undefined): void {
    const badge = this.badges.get(id);
    if (!state) {
      badge?.node.remove();
      this.badges.delete(id);
      return;
    }
    const node = badge?.node ?? h('div', { class: 'element-badge', testid: 'badge', 'data-element': id });
    const shown = JSON.stringify([state.kind, state.text, state.actions.map((a) => a.label), state.progress === undefined]);
    if (badge?.shown !== shown) fill(node, state);
    node.style.setProperty('--progress', String(state.progress ?? 0.25));
    if (!badge) this.root.append(node);
    this.badges.set(id, { node, shown });
    if (!badge) this.place();
  }

  private place(): void {
    const visible = this.viewport.visible();
    for (const [id, { node }] of this.badges) {
      const element = this.session.shown(id);
      const box = element && bounds(element);
      const show = box !== undefined && overlaps(box, visible);
      node.hidden = !show;
      if (!show || !element) continue;
      const { width, height } = localBox(element);
      const origin = at(element);
      const turned = rotate({ x: width / 2, y: height / 2 }, rotationOf(element));
      const p = this.viewport.toScreen({ x: origin.x + turned.x, y: origin.y + turned.y });
      node.style.transform = `translate(${Math.round(p.x)}px, ${Math.round(p.y)}px) translate(-50%, -50%)`;
      node.classList.toggle('small', Math.min(box.width, box.height * 1.6) * this.viewport.scale < ROOMY);
    }
  }
}

function fill(node: HTMLElement, state: BadgeState): void {
  const ring = h('span', { class: state.progress === undefined ? 'ring turning' : 'ring', 'aria-hidden': 'true' });
  const text = h('span', { class: 'badge-text', text: state.text, role: state.kind === 'failed' ? 'alert' : 'status', title: state.text });
  const buttons = state.actions.map((action) => {
    const button = h('button', { class: action.icon ? 'badge-icon' : 'badge-button', type: 'button', testid: action.testid, 'aria-label': action.label, title: action.label, on: { click: action.run } });
    button.append(action.icon ? icon(action.icon) : action.label);
    return button;
  });
  node.dataset['kind'] = state.kind;
  node.replaceChildren(...(state.kind === 'busy' ? [ring] : []), text, ...buttons);
}
