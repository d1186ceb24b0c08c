import { h } from '../util/dom';
import { icon, type IconName } from './icons';

export interface ButtonOptions {
  icon: IconName;
  label: string;
  /** Shown with the label in the tooltip. */
  keys?: string;
  testid?: string;
  onClick: () => void;
}

/** A square button with an icon; its label is for tooltips and screen readers. */
export function iconButton(options: ButtonOptions): HTMLButtonElement {
  const title = options.keys ? `${options.label}  (${options.keys})` : options.label;
  const button = h('button', { class: 'icon-button', type: 'button', 'aria-label': options.label, title, testid: options.testid, on: { click: options.onClick } });
  button.append(icon(options.icon));
  return button;
}

export function avatar(name: string, color: string): HTMLElement {
  const initials = name.trim().split(/\s+/).slice(0, 2).map((word) => [...word][0] ?? '').join('').toUpperCase() || '?';
  return h('span', { class: 'avatar', text: initials, 'aria-hidden': 'true', style: { background: color } });
}

/** Shows an element as a dialog over the page. The returned function closes it; Escape does too where `dismissible`. */
export function openDialog(content: HTMLElement, label: string, dismissible: boolean): () => void {
  const dialog = h('dialog', { class: 'dialog', 'aria-label': label }, content);
  dialog.addEventListener('cancel', (event) => !dismissible && event.preventDefault());
  dialog.addEventListener('close', () => dialog.remove());
  if (dismissible) dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return () => dialog.close();
}
