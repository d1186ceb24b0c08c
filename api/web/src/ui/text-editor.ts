import type { Editor } from '../editor/editor';
import type { Element, Members } from '../protocol';
import { at, FONT, fontSizeOf, LINE_HEIGHT, localBox, measureText, rotationOf, type Point } from '../stage/geometry';
import { ink } from '../stage/theme';
import { h } from '../util/dom';
import { newId } from '../util/ids';

/** A text field laid exactly over the element that is typed in. Escape, Ctrl+Enter or a click elsewhere ends it. */
export class TextEditor {
  private field: HTMLTextAreaElement | undefined;
  private finish: (() => void) | undefined;
  private readonly offs: (() => void)[];

  constructor(private readonly editor: Editor, private readonly root: HTMLElement) {
    this.offs = [
      editor.textRequested.on(({ id, at: point }) => (id === undefined ? point && this.create(point) : this.edit(id))),
      editor.viewport.changed.on(() => this.place?.()),
    ];
  }

  private place: (() => void) | undefined;

  destroy(): void {
    this.finish?.();
    for (const off of this.offs) off();
  }

  private create(point: Point): void {
    const { style } = this.editor;
    const fontSize = style.fontSize;
    const draft: Element = { id: newId(), type: 'text', x: Math.round(point.x), y: Math.round(point.y - (fontSize * LINE_HEIGHT) / 2), rotation: 0, text: '', fontSize, fill: style.stroke };
    this.open(draft, (text) => {
      this.editor.setTool('select');
      if (text.trim() !== '') this.editor.add([{ ...draft, text, ...measureText(text, fontSize) }]);
    });
  }

  private edit(id: string): void {
    const element = this.editor.session.shown(id);
    if (!element) return;
    this.editor.editing = id;
    this.editor.scene.hide(id, true);
    this.open(element, (text) => {
      this.editor.editing = undefined;
      this.editor.scene.hide(id, false);
      if (text === (element.text ?? '')) return;
      if (text.trim() === '' && element.type === 'text') {
        this.editor.session.submit([{ command: 'element.remove', data: { ids: [id] } }]);
        return;
      }
      const set: Members = { text };
      if (element.type === 'text') Object.assign(set, measureText(text, fontSizeOf(element)));
      this.editor.patch(new Map([[id, set]]));
    });
  }

  private open(element: Element, done: (text: string) => void): void {
    this.finish?.();
    const field = h('textarea', { class: `text-field ${element.type}`, testid: 'text-field', spellcheck: 'false', 'aria-label': 'Text', rows: 1 });
    field.value = element.text ?? '';
    this.field = field;
    this.place = () => this.lay(element, field);
    this.finish = () => {
      if (this.field !== field) return;
      this.field = this.finish = this.place = undefined;
      const text = field.value;
      field.remove();
      done(text);
    };
    field.addEventListener('input', () => this.place?.());
    field.addEventListener('blur', () => this.finish?.());
    field.addEventListener('keydown', (event) => {
      event.stopPropagation();
      if (event.key === 'Escape' || (event.key === 'Enter' && (event.ctrlKey || event.metaKey))) this.finish?.();
    });
    this.root.append(field);
    this.place();
    // After the pointer event that asked for it: its default action would take the focus away again.
    requestAnimationFrame(() => field.isConnected && field.focus());
  }

  private lay(element: Element, field: HTMLTextAreaElement): void {
    const { viewport } = this.editor;
    const p = viewport.toScreen(at(element));
    const k = viewport.scale;
    const fontSize = fontSizeOf(element);
    const note = element.type === 'note';
    const size = note ? localBox(element) : measureText(`${field.value}M`, fontSize);
    Object.assign(field.style, {
      left: `${p.x}px`, top: `${p.y}px`, width: `${size.width}px`, height: `${Math.max(size.height, fontSize * LINE_HEIGHT)}px`,
      font: `${fontSize}px/${LINE_HEIGHT} ${FONT}`, transform: `scale(${k}) rotate(${rotationOf(element)}deg)`,
      color: note ? '#2b2a26' : ink(element.fill), background: note ? element.fill || '#ffe08a' : 'transparent',
    });
  }
}
