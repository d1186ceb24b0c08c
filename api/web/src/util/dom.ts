type Props = {
  class?: string;
  text?: string;
  testid?: string;
  style?: Partial<CSSStyleDeclaration>;
  on?: { [K in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[K]) => void };
  [attribute: string]: unknown;
};
type Child = Node | string | null | undefined | false;

/** Makes an element: `h('button', {class: 'x', 'aria-label': 'Close', on: {click}}, child…)`. Text is never parsed as HTML. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === false || value === null) continue;
    if (key === 'class') node.className = String(value);
    else if (key === 'text') node.textContent = String(value);
    else if (key === 'testid') node.dataset.testid = String(value);
    else if (key === 'style') Object.assign(node.style, value);
    else if (key === 'on') addListeners(node, value as Record<string, EventListener>);
    else node.setAttribute(key, value === true ? '' : String(value));
  }
  for (const child of children) if (child) node.append(child);
  return node;
}

function addListeners(node: HTMLElement, listeners: Record<string, EventListener>): void {
  for (const [event, listener] of Object.entries(listeners)) node.addEventListener(event, listener);
}

/** True where keys belong to a field that somebody is typing in. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
