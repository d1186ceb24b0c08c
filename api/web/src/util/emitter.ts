type Listener<A extends unknown[]> = (...args: A) => void;

/** A list of listeners for one kind of news. `on` returns the function that takes the listener off again. */
export class Signal<A extends unknown[] = []> {
  private listeners = new Set<Listener<A>>();

  on(listener: Listener<A>): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  emit(...args: A): void {
    for (const listener of [...this.listeners]) listener(...args);
  }
}
