import { h } from '../util/dom';

/** Milliseconds that a toast stays. */
const STAY = 5_000;
const MOST = 4;

/** Short news at the bottom of the page, read aloud by screen readers. */
export class Toasts {
  readonly root = h('div', { class: 'toasts', role: 'status', 'aria-live': 'polite', testid: 'toasts' });

  show(text: string): void {
    for (const old of this.root.children) if (old.textContent === text) old.remove();
    const toast = h('div', { class: 'toast', text });
    this.root.append(toast);
    while (this.root.children.length > MOST) this.root.firstElementChild?.remove();
    setTimeout(() => toast.remove(), STAY);
  }
}
