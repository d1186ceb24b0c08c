import type { Element, RoomEvent } from '../protocol';
import { Signal } from '../util/emitter';
import { applyPending, commandsById, patched, type Pending } from './overlay';
import { comparePaintOrder } from './zkey';

/**
 * The canvas: the server's elements at one revision (`base`), and on top of them the changes that it has not settled (`pending`).
 * What is shown is base with every pending change applied again in order, so others' commits never undo what is being saved, and a
 * refused change disappears by dropping it. Drafts are elements that nobody else has yet.
 */
export class CanvasDocument {
  /** Ids of elements whose shown state may differ now. */
  readonly changed = new Signal<[ReadonlySet<string>]>();
  revision = 0;

  private base = new Map<string, Element>();
  private view = new Map<string, Element>();
  private drafts = new Map<string, Element>();
  private pending: Pending[] = [];
  private pendingById = new Map<string, Pending[]>();
  private ordered: Element[] | undefined;

  get(id: string): Element | undefined {
    return this.view.get(id);
  }

  get size(): number {
    return this.view.size;
  }

  /** All shown elements in paint order. The array is shared until the next change: not to be modified. */
  elements(): readonly Element[] {
    this.ordered ??= [...this.view.values()].sort(comparePaintOrder);
    return this.ordered;
  }

  /** Replaces the server's state. */
  reset(elements: Element[], revision: number): void {
    const ids = new Set([...this.view.keys(), ...elements.map((e) => e.id), ...this.pendingById.keys()]);
    this.base = new Map(elements.map((e) => [e.id, e]));
    this.revision = revision;
    this.refresh(ids);
  }

  /**
   * Applies a commit. Returns false, and applies nothing, where revisions are missing between ours and it: the caller must resume.
   * What we have already is skipped. `settled` lists the pending changes that this commit holds.
   */
  commit(first: number, last: number, events: RoomEvent[], settled: (event: RoomEvent) => number | undefined): boolean {
    if (first > this.revision + 1) return false;
    const ids = new Set<string>();
    const seqs = new Set<number>();
    for (const event of events) {
      if (event.revision <= this.revision) continue;
      this.applyEvent(event, ids);
      const seq = settled(event);
      if (seq !== undefined) seqs.add(seq);
    }
    this.revision = Math.max(this.revision, last);
    this.removePending((p) => seqs.has(p.seq), ids);
    this.refresh(ids);
    return true;
  }

  /** Shows an element that exists in this tab alone. */
  setDraft(element: Element): void {
    this.drafts.set(element.id, element);
    this.refresh(new Set([element.id]));
  }

  dropDraft(id: string): void {
    if (this.drafts.delete(id)) this.refresh(new Set([id]));
  }

  isDraft(id: string): boolean {
    return this.drafts.has(id);
  }

  addPending(pending: Pending): void {
    this.pending.push(pending);
    const ids = new Set(commandsById(pending).keys());
    for (const id of ids) this.pendingById.set(id, [...(this.pendingById.get(id) ?? []), pending]);
    this.refresh(ids);
  }

  /** True until the change's own events came, or it was refused. */
  isPending(seq: number): boolean {
    return this.pending.some((p) => p.seq === seq);
  }

  /** Takes pending changes off: settled ones whose events are in base, or refused ones. */
  dropPending(drop: (pending: Pending) => boolean): void {
    const ids = new Set<string>();
    this.removePending(drop, ids);
    this.refresh(ids);
  }

  private removePending(drop: (pending: Pending) => boolean, ids: Set<string>): void {
    const gone = new Set(this.pending.filter(drop));
    if (gone.size === 0) return;
    this.pending = this.pending.filter((p) => !gone.has(p));
    for (const pending of gone) {
      for (const id of commandsById(pending).keys()) {
        ids.add(id);
        const rest = (this.pendingById.get(id) ?? []).filter((p) => !gone.has(p));
        if (rest.length) this.pendingById.set(id, rest);
        else this.pendingById.delete(id);
      }
    }
  }

  private applyEvent(event: RoomEvent, ids: Set<string>): void {
    const data = event.data as { element?: Element; id?: string; ids?: string[]; set?: Partial<Element>; unset?: string[] };
    if (event.type === 'element.added' && data.element) {
      this.base.set(data.element.id, data.element);
      ids.add(data.element.id);
    } else if (event.type === 'element.patched' && data.id !== undefined) {
      const element = this.base.get(data.id);
      if (element) this.base.set(data.id, patched(element, data.set, data.unset));
      ids.add(data.id);
    } else if (event.type === 'element.removed') {
      for (const id of data.ids ?? []) {
        this.base.delete(id);
        ids.add(id);
      }
    }
  }

  private refresh(ids: ReadonlySet<string>): void {
    if (ids.size === 0) return;
    for (const id of ids) {
      let element = this.base.get(id) ?? this.drafts.get(id);
      for (const pending of this.pendingById.get(id) ?? []) element = applyPending(element, id, pending);
      if (element) this.view.set(id, element);
      else this.view.delete(id);
    }
    this.ordered = undefined;
    this.changed.emit(ids);
  }
}
