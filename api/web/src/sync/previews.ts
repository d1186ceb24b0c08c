import type { Element, Members } from '../protocol';
import { Signal } from '../util/emitter';

/** Milliseconds after which somebody's preview counts as given up where neither news nor a commit followed. */
const STALE = 8_000;
/** Milliseconds after a commit in which previews of its drag may still come: the two lanes do not keep their order. */
const LATE = 250;

interface Preview {
  session: string;
  user: string | undefined;
  set: Members;
  at: number;
}

/** Values that are being dragged, by us or by others, and are in no log: shown on top of the document, never stored. */
export class Previews {
  readonly changed = new Signal<[ReadonlySet<string>]>();
  private own = new Map<string, Members>();
  private others = new Map<string, Preview>();
  /** Elements that somebody's commit has just settled. */
  private settled = new Map<string, { user: string | undefined; at: number }>();

  /** What is shown of an element. */
  over(element: Element): Element {
    const other = this.others.get(element.id);
    const own = this.own.get(element.id);
    if (!other && !own) return element;
    return { ...element, ...other?.set, ...own, id: element.id, type: element.type };
  }

  isRemote(id: string): boolean {
    return this.others.has(id);
  }

  setOwn(sets: ReadonlyMap<string, Members>): void {
    for (const [id, set] of sets) this.own.set(id, { ...this.own.get(id), ...set });
    this.changed.emit(new Set(sets.keys()));
  }

  clearOwn(): void {
    if (this.own.size === 0) return;
    const ids = new Set(this.own.keys());
    this.own.clear();
    this.changed.emit(ids);
  }

  setRemote(session: string, user: string | undefined, id: string, set: Members, now = Date.now()): void {
    const settled = this.settled.get(id);
    if (settled && settled.user === user && now - settled.at < LATE) return;
    const before = this.others.get(id);
    const merged = before?.session === session ? { ...before.set, ...set } : set;
    this.others.set(id, { session, user, set: merged, at: now });
    this.changed.emit(new Set([id]));
  }

  /** A commit of this person changed the element: what it holds is the end of the drag. */
  committed(ids: readonly string[], user: string | undefined, now = Date.now()): void {
    for (const id of ids) this.settled.set(id, { user, at: now });
    this.drop((p) => p.user === user || p.user === undefined, ids);
  }

  sessionLeft(session: string): void {
    this.drop((p) => p.session === session);
  }

  expire(now = Date.now()): void {
    for (const [id, { at }] of this.settled) if (now - at >= LATE) this.settled.delete(id);
    this.drop((p) => now - p.at > STALE);
  }

  private drop(test: (preview: Preview) => boolean, ids: Iterable<string> = [...this.others.keys()]): void {
    const gone = new Set<string>();
    for (const id of ids) {
      const preview = this.others.get(id);
      if (preview && test(preview)) {
        this.others.delete(id);
        gone.add(id);
      }
    }
    if (gone.size) this.changed.emit(gone);
  }
}
