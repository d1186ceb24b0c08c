import type { Editor } from '../editor/editor';
import { FILLS, FONT_SIZES, STROKES, WIDTHS, type Style } from '../editor/styles';
import type { Element } from '../protocol';
import { fillOf, ink } from '../stage/theme';
import { h } from '../util/dom';
import { iconButton } from './controls';

const linear = (e: Element): boolean => e.type === 'path' || e.shape === 'line' || e.shape === 'arrow';
const FONT_NAMES = ['S', 'M', 'L', 'XL'];

/** Looks of the selection, or of what is drawn next, and what can be done with the selection. */
export function styleBar(editor: Editor): HTMLElement {
  const strokes = group('Colour', STROKES.map((c) => swatch(`Colour ${c}`, ink(c), () => editor.restyle({ stroke: c }), `stroke-${c}`)));
  const fills = group('Fill', FILLS.map((c) => swatch(c ? `Fill ${c}` : 'No fill', fillOf(c) ?? '', () => editor.restyle({ fill: c }), `fill-${c || 'none'}`)));
  const widths = group('Line width', WIDTHS.map((w) => option(`${w} px`, h('span', { class: 'stroke-sample', style: { height: `${w}px` } }), () => editor.restyle({ strokeWidth: w }))));
  const fonts = group('Text size', FONT_SIZES.map((s, i) => option(`Text size ${FONT_NAMES[i]}`, FONT_NAMES[i]!, () => editor.restyle({ fontSize: s }))));
  const actions = h(
    'div',
    { class: 'bar-group', role: 'group', 'aria-label': 'Order and more' },
    iconButton({ icon: 'back', label: 'Send to back', keys: 'Shift+[', testid: 'order-back', onClick: () => editor.reorder('back') }),
    iconButton({ icon: 'backward', label: 'Send backward', keys: '[', testid: 'order-backward', onClick: () => editor.reorder('backward') }),
    iconButton({ icon: 'forward', label: 'Bring forward', keys: ']', testid: 'order-forward', onClick: () => editor.reorder('forward') }),
    iconButton({ icon: 'front', label: 'Bring to front', keys: 'Shift+]', testid: 'order-front', onClick: () => editor.reorder('front') }),
    iconButton({ icon: 'duplicate', label: 'Duplicate', keys: 'Ctrl+D', testid: 'duplicate', onClick: () => editor.duplicate() }),
    iconButton({ icon: 'trash', label: 'Delete', keys: 'Del', testid: 'delete', onClick: () => editor.remove() }),
  );
  const bar = h('div', { class: 'style-bar panel', role: 'toolbar', 'aria-label': 'Look and order', testid: 'style-bar' }, strokes, fills, widths, fonts, actions);
  const show = () => {
    const uses = usesOf(editor);
    strokes.hidden = !uses.stroke;
    fills.hidden = !uses.fill;
    widths.hidden = !uses.width;
    fonts.hidden = !uses.font;
    actions.hidden = editor.selection.size === 0;
    bar.hidden = !editor.canEdit || (!uses.stroke && !uses.fill && !uses.font && actions.hidden);
    mark(strokes, STROKES.indexOf(editor.style.stroke as (typeof STROKES)[number]));
    mark(fills, FILLS.indexOf(editor.style.fill as (typeof FILLS)[number]));
    mark(widths, WIDTHS.indexOf(editor.style.strokeWidth as (typeof WIDTHS)[number]));
    mark(fonts, FONT_SIZES.indexOf(editor.style.fontSize as (typeof FONT_SIZES)[number]));
  };
  editor.selection.changed.on(() => {
    editor.style = { ...editor.style, ...styleOf(editor.selected()) };
    show();
  });
  editor.toolChanged.on(show);
  editor.styleChanged.on(show);
  editor.session.roleChanged.on(show);
  editor.session.doc.changed.on(() => editor.selection.size > 0 && show());
  show();
  return bar;
}

function usesOf(editor: Editor) {
  const chosen = editor.selected();
  const drawing = editor.tool;
  const some = (test: (e: Element) => boolean) => chosen.some(test);
  return {
    stroke: some((e) => ['shape', 'path', 'text'].includes(e.type)) || ['rect', 'ellipse', 'arrow', 'pen', 'text'].includes(drawing),
    fill: some((e) => (e.type === 'shape' && !linear(e)) || e.type === 'note') || ['rect', 'ellipse'].includes(drawing),
    width: some((e) => e.type === 'shape' || e.type === 'path') || ['rect', 'ellipse', 'arrow', 'pen'].includes(drawing),
    font: some((e) => e.type === 'text' || e.type === 'note') || drawing === 'text',
  };
}

/** The look that one selected element has, so that the marks in the bar tell the truth. */
function styleOf(chosen: Element[]): Partial<Style> {
  const [e] = chosen;
  if (chosen.length !== 1 || !e) return {};
  const style: Partial<Style> = {};
  const stroke = e.type === 'text' ? e.fill : e.stroke;
  if (typeof stroke === 'string') style.stroke = stroke;
  if ((e.type === 'shape' && !linear(e)) || e.type === 'note') style.fill = e.fill ?? '';
  if (typeof e.strokeWidth === 'number') style.strokeWidth = e.strokeWidth;
  if (typeof e.fontSize === 'number') style.fontSize = e.fontSize;
  return style;
}

function group(label: string, children: HTMLElement[]): HTMLElement {
  return h('div', { class: 'bar-group', role: 'group', 'aria-label': label }, ...children);
}

function mark(bar: HTMLElement, index: number): void {
  [...bar.children].forEach((child, i) => child.setAttribute('aria-pressed', String(i === index)));
}

function swatch(label: string, color: string, onClick: () => void, testid: string): HTMLElement {
  const dot = h('span', { class: color ? 'swatch' : 'swatch none', style: color ? { background: color } : {} });
  return h('button', { class: 'swatch-button', type: 'button', 'aria-label': label, title: label, testid, on: { click: onClick } }, dot);
}

function option(label: string, content: Node | string, onClick: () => void): HTMLElement {
  return h('button', { class: 'swatch-button', type: 'button', 'aria-label': label, title: label, on: { click: onClick } }, content);
}
