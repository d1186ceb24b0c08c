import type { Editor, ToolName } from '../editor/editor';
import { isMedia, placeFiles } from '../editor/pictures';
import type { Generations } from '../generations/generations';
import { h } from '../util/dom';
import { iconButton } from './controls';
import type { IconName } from './icons';
import type { PromptBox } from './prompt-box';

export const TOOLS: { name: ToolName; icon: IconName; label: string; key: string }[] = [
  { name: 'select', icon: 'select', label: 'Select', key: 'V' },
  { name: 'hand', icon: 'hand', label: 'Hand', key: 'H' },
  { name: 'rect', icon: 'rect', label: 'Rectangle', key: 'R' },
  { name: 'ellipse', icon: 'ellipse', label: 'Ellipse', key: 'O' },
  { name: 'arrow', icon: 'arrow', label: 'Arrow', key: 'A' },
  { name: 'pen', icon: 'pen', label: 'Draw', key: 'P' },
  { name: 'text', icon: 'text', label: 'Text', key: 'T' },
  { name: 'note', icon: 'note', label: 'Note', key: 'N' },
];

/** The tools, at the bottom; people who may not edit get what they may use. */
export function toolbar(editor: Editor, generations: Generations, prompt: PromptBox): HTMLElement {
  const buttons = TOOLS.map((tool) => {
    const button = iconButton({ icon: tool.icon, label: tool.label, keys: tool.key, testid: `tool-${tool.name}`, onClick: () => editor.setTool(tool.name) });
    return { tool, button };
  });
  const file = h('input', { type: 'file', accept: 'image/*,video/mp4,video/webm', multiple: true, hidden: true, testid: 'file-input' });
  file.addEventListener('change', () => {
    void placeFiles(editor, [...(file.files ?? [])].filter(isMedia), editor.viewport.center());
    file.value = '';
  });
  const image = iconButton({ icon: 'image', label: 'Picture', testid: 'tool-image', onClick: () => file.click() });
  const make = iconButton({ icon: 'spark', label: 'Make with AI', keys: 'G', testid: 'tool-make', onClick: () => prompt.toggle() });
  const reading = h('span', { class: 'reading', text: 'You may only look', hidden: true, testid: 'read-only' });
  const bar = h('div', { class: 'toolbar panel', role: 'toolbar', 'aria-label': 'Tools' }, ...buttons.map((b) => b.button), image, make, file, reading);
  const show = () => {
    for (const { tool, button } of buttons) {
      button.setAttribute('aria-pressed', String(editor.tool === tool.name));
      button.hidden = !editor.canEdit && tool.name !== 'select' && tool.name !== 'hand';
    }
    image.hidden = !editor.canEdit;
    make.hidden = !generations.offered;
    reading.hidden = editor.canEdit;
  };
  editor.toolChanged.on(show);
  editor.session.roleChanged.on(show);
  generations.modelsChanged.on(show);
  show();
  return bar;
}
