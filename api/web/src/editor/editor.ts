import type { Command, Element, Members } from '../protocol';
import { bounds, measureText, union, type Point } from '../stage/geometry';
import type { Scene } from '../stage/scene';
import type { Viewport } from '../stage/viewport';
import type { Session } from '../sync/session';
import { isDraft, type Uploads } from '../uploads/uploads';
import { Signal } from '../util/emitter';
import { newId } from '../util/ids';
import { Selection } from './selection';
import { defaultStyle, styleMembers, type Style } from './styles';

export type ToolName = 'select' | 'hand' | 'rect' | 'ellipse' | 'arrow' | 'pen' | 'text' | 'note';

export type Order = 'front' | 'back' | 'forward' | 'backward';

/** Offset of a duplicate, in canvas units. */
const DUPLICATE_OFFSET = 24;

/** What a person does to the canvas, whatever asked for it: mouse, keyboard or a button. */
export class Editor {
  readonly selection = new Selection();
  readonly toolChanged = new Signal<[ToolName]>();
  readonly styleChanged = new Signal();
  /** Somebody wants to type: an element's text, or a new text at a point. */
  readonly textRequested = new Signal<[{ id?: string; at?: Point }]>();
  style: Style = defaultStyle();
  tool: ToolName = 'select';
  /** The element whose text is being typed over it: not drawn meanwhile. */
  editing: string | undefined;

  constructor(readonly session: Session, readonly viewport: Viewport, readonly scene: Scene, readonly uploads: Uploads) {
    session.doc.changed.on(() => this.selection.keep((id) => session.doc.get(id) !== undefined));
    session.roleChanged.on(() => !session.canEdit && this.setTool('select'));
  }

  get canEdit(): boolean {
    return this.session.canEdit;
  }

  setTool(tool: ToolName): void {
    if (!this.canEdit && tool !== 'hand') tool = 'select';
    this.tool = tool;
    if (tool !== 'select') this.selection.clear();
    this.toolChanged.emit(tool);
  }

  /** False, and people are told, where the role does not allow edits. */
  private permitted(): boolean {
    if (!this.canEdit) this.session.notice.emit('You may only look at this room');
    return this.canEdit;
  }

  selected(): Element[] {
    return this.selection.list().flatMap((id) => this.session.shown(id) ?? []);
  }

  /** The selection, lowest first. */
  selectedInPaintOrder(): Element[] {
    return this.session.doc.elements().filter((e) => this.selection.has(e.id));
  }

  add(elements: Element[], select = true): boolean {
    if (!this.permitted()) return false;
    const commands = elements.map((element): Command => ({ command: 'element.add', data: { element } }));
    if (!this.session.submit(commands)) return false;
    if (select) this.selection.set(elements.map((e) => e.id));
    return true;
  }

  patch(sets: ReadonlyMap<string, Members>): boolean {
    if (sets.size === 0) return true;
    if (!this.permitted()) return false;
    const commands: Command[] = [];
    for (const [id, set] of sets) if (Object.keys(set).length) commands.push({ command: 'element.patch', data: { id, set } });
    return this.session.submit(commands);
  }

  remove(): void {
    if (this.selection.size === 0 || !this.permitted()) return;
    this.session.submit([{ command: 'element.remove', data: { ids: this.selection.list() } }]);
  }

  selectAll(): void {
    this.setTool('select');
    this.selection.set(this.session.doc.elements().map((e) => e.id));
  }

  nudge(dx: number, dy: number): void {
    this.patch(new Map(this.selected().map((e) => [e.id, { x: (e.x ?? 0) + dx, y: (e.y ?? 0) + dy }])));
  }

  reorder(order: Order): void {
    const ids = this.selectedInPaintOrder().map((e) => e.id);
    if (ids.length === 0 || !this.permitted()) return;
    if (order === 'front' || order === 'back') {
      this.session.submit([{ command: 'element.reorder', data: { ids, to: order } }]);
      return;
    }
    const rest = this.session.doc.elements();
    const neighbour = order === 'forward' ? neighbourAbove(rest, ids) : neighbourBelow(rest, ids);
    if (neighbour === undefined) return;
    const where = order === 'forward' ? { after: neighbour } : { before: neighbour };
    this.session.submit([{ command: 'element.reorder', data: { ids, ...where } }]);
  }

  duplicate(): void {
    this.add(copies(this.selectedInPaintOrder(), DUPLICATE_OFFSET, DUPLICATE_OFFSET));
  }

  restyle(change: Partial<Style>): void {
    this.style = { ...this.style, ...change };
    const sets = new Map<string, Members>();
    for (const e of this.selected()) {
      const set = styleMembers(e, change);
      if (e.type === 'text' && change.fontSize !== undefined) Object.assign(set, measureText(e.text ?? '', change.fontSize));
      if (Object.keys(set).length) sets.set(e.id, set);
    }
    this.patch(sets);
    this.styleChanged.emit();
  }

  zoomToFit(): void {
    const chosen = this.selected();
    const all = chosen.length ? chosen : this.session.doc.elements();
    this.viewport.fit(union(all.map(bounds)));
  }
}

/** The first element above the topmost selected one. `elements` is in paint order. */
function neighbourAbove(elements: readonly Element[], ids: readonly string[]): string | undefined {
  const chosen = new Set(ids);
  const top = elements.findLastIndex((e) => chosen.has(e.id));
  return elements.slice(top + 1).find((e) => !chosen.has(e.id))?.id;
}

function neighbourBelow(elements: readonly Element[], ids: readonly string[]): string | undefined {
  const chosen = new Set(ids);
  const bottom = elements.findIndex((e) => chosen.has(e.id));
  return elements.slice(0, Math.max(0, bottom)).findLast((e) => !chosen.has(e.id))?.id;
}

/** The same elements under new ids, moved; unknown members come along, the paint-order key does not. What is still being sent can't be copied. */
export function copies(elements: readonly Element[], dx: number, dy: number): Element[] {
  return elements.filter((e) => !isDraft(e)).map((element) => {
    const copy: Element = { ...element, id: newId(), x: (element.x ?? 0) + dx, y: (element.y ?? 0) + dy };
    delete copy.z;
    return copy;
  });
}
