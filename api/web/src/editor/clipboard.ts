import type { Element } from '../protocol';
import { bounds, measureText, union, type Point } from '../stage/geometry';
import { isDraft } from '../uploads/uploads';
import { isTyping } from '../util/dom';
import { newId } from '../util/ids';
import { copies, type Editor } from './editor';
import { isMedia, placeFiles } from './pictures';

/** What Ctrl+C puts on the system's clipboard, as text: works across rooms and tabs. */
interface Clip {
  kanvas: 1;
  room: string;
  elements: Element[];
}

/** Longest text that becomes a text element, in characters. */
const MAX_TEXT = 20_000;

export function parseClip(text: string): Clip | undefined {
  if (!text.startsWith('{"kanvas":1,')) return undefined;
  try {
    const clip = JSON.parse(text) as Clip;
    const ok = Array.isArray(clip.elements) && clip.elements.every((e) => typeof e?.id === 'string' && typeof e.type === 'string');
    return ok ? clip : undefined;
  } catch {
    return undefined;
  }
}

/** Copy, cut and paste by the browser's own events, which need no permission. `pointer` is where the mouse is on the canvas. */
export class Clipboard {
  private readonly offs: (() => void)[] = [];
  private pasted = { text: '', times: 0 };

  constructor(private readonly editor: Editor, private readonly pointer: () => Point | undefined) {
    this.listen('copy', (event) => this.copy(event));
    this.listen('cut', (event) => this.copy(event) && this.editor.remove());
    this.listen('paste', (event) => void this.paste(event));
  }

  destroy(): void {
    for (const off of this.offs) off();
  }

  private listen(type: 'copy' | 'cut' | 'paste', handle: (event: ClipboardEvent) => void): void {
    const listener = (event: ClipboardEvent) => {
      if (!isTyping(event.target) && !isTyping(document.activeElement)) handle(event);
    };
    document.addEventListener(type, listener);
    this.offs.push(() => document.removeEventListener(type, listener));
  }

  private copy(event: ClipboardEvent): boolean {
    const elements = this.editor.selectedInPaintOrder().filter((e) => !isDraft(e));
    if (elements.length === 0 || getSelection()?.toString()) return false;
    const clip: Clip = { kanvas: 1, room: this.editor.session.room.id, elements };
    event.clipboardData?.setData('text/plain', JSON.stringify(clip));
    event.preventDefault();
    this.pasted = { text: '', times: 0 };
    return true;
  }

  private async paste(event: ClipboardEvent): Promise<void> {
    const data = event.clipboardData;
    if (!data || !this.editor.canEdit) return;
    const files = [...data.files].filter(isMedia);
    const text = data.getData('text/plain');
    event.preventDefault();
    if (files.length) return placeFiles(this.editor, files, this.target());
    const clip = parseClip(text);
    if (clip) return this.pasteElements(clip, text);
    if (text.trim() !== '') this.pasteText(text.slice(0, MAX_TEXT));
  }

  private target(): Point {
    return this.pointer() ?? this.editor.viewport.center();
  }

  private pasteElements(clip: Clip, text: string): void {
    const { elements } = clip;
    const box = union(elements.map(bounds));
    if (!box) return;
    this.pasted = { text, times: this.pasted.text === text ? this.pasted.times + 1 : 0 };
    const p = this.target();
    const step = this.pasted.times * 20;
    const added = copies(elements, p.x - box.x - box.width / 2 + step, p.y - box.y - box.height / 2 + step);
    this.editor.setTool('select');
    this.editor.add(added);
  }

  private pasteText(text: string): void {
    const { style, viewport } = this.editor;
    const fontSize = style.fontSize;
    const size = measureText(text, fontSize);
    const p = this.pointer() ?? viewport.center();
    this.editor.setTool('select');
    this.editor.add([{ id: newId(), type: 'text', x: Math.round(p.x), y: Math.round(p.y), rotation: 0, text, fontSize, fill: style.stroke, ...size }]);
  }
}
