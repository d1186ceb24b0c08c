import { Signal } from '../util/emitter';

/** Ids of the selected elements, in the order they were picked. */
export class Selection {
  readonly changed = new Signal();
  private ids = new Set<string>();

  get size(): number {
    return this.ids.size;
  }

  has(id: string): boolean {
    return this.ids.has(id);
  }

  list(): string[] {
    return [...this.ids];
  }

  set(ids: Iterable<string>): void {
    const next = new Set(ids);
    if (next.size === this.ids.size && [...next].every((id) => this.ids.has(id))) return;
    this.ids = next;
    this.changed.emit();
  }

  toggle(id: string): void {
    const next = new Set(this.ids);
    if (!next.delete(id)) next.add(id);
    this.set(next);
  }

  clear(): void {
    this.set([]);
  }

  /** Drops what is gone. */
  keep(exists: (id: string) => boolean): void {
    this.set([...this.ids].filter(exists));
  }
}
