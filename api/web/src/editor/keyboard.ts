import { TOOLS } from '../ui/toolbar';
import { openHelp } from '../ui/help';
import { isTyping } from '../util/dom';
import type { Gestures } from '../tools/gestures';
import type { Editor } from './editor';

const STEP = 1;
const BIG_STEP = 10;
const ARROWS: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** What keys open and close. */
interface Panels {
  chat: () => void;
  prompt: () => void;
}

/** Keys for everything that has a button. Returns the function that takes them off. */
export function bindKeyboard(editor: Editor, gestures: Gestures, open: Panels): () => void {
  const stop = new AbortController();
  const down = (event: KeyboardEvent) => {
    if (isTyping(event.target) || document.querySelector('dialog[open]')) return;
    const handled = event.ctrlKey || event.metaKey ? withModifier(editor, event) : plain(editor, gestures, open, event);
    if (handled) event.preventDefault();
  };
  window.addEventListener('keydown', down, { signal: stop.signal });
  window.addEventListener('keyup', (event) => event.code === 'Space' && gestures.setSpace(false), { signal: stop.signal });
  window.addEventListener('blur', () => gestures.setSpace(false), { signal: stop.signal });
  return () => stop.abort();
}

function withModifier(editor: Editor, event: KeyboardEvent): boolean {
  switch (event.key.toLowerCase()) {
    case 'z':
      editor.session.step(event.shiftKey ? 'redo' : 'undo');
      return true;
    case 'y':
      editor.session.step('redo');
      return true;
    case 'a':
      editor.selectAll();
      return true;
    case 'd':
      editor.duplicate();
      return true;
    default:
      return false;
  }
}

function plain(editor: Editor, gestures: Gestures, open: Panels, event: KeyboardEvent): boolean {
  const arrow = ARROWS[event.key];
  if (arrow && editor.selection.size > 0) {
    const step = event.shiftKey ? BIG_STEP : STEP;
    editor.nudge(arrow[0] * step, arrow[1] * step);
    return true;
  }
  if (event.code === 'Space') {
    // A focused button is pressed by space; the canvas has no focus of its own.
    if (event.target instanceof HTMLButtonElement) return false;
    gestures.setSpace(true);
    return true;
  }
  if (event.shiftKey && view(editor, event)) return true;
  return single(editor, gestures, open, event);
}

function view(editor: Editor, event: KeyboardEvent): boolean {
  if (event.code === 'Digit1') editor.zoomToFit();
  else if (event.code === 'Digit0') editor.viewport.zoomTo(1);
  else if (event.code === 'BracketRight') editor.reorder('front');
  else if (event.code === 'BracketLeft') editor.reorder('back');
  else return false;
  return true;
}

function single(editor: Editor, gestures: Gestures, open: Panels, event: KeyboardEvent): boolean {
  switch (event.key) {
    case 'Delete':
    case 'Backspace':
      editor.remove();
      return true;
    case 'Escape':
      if (!gestures.cancel()) {
        editor.selection.clear();
        editor.setTool('select');
      }
      return true;
    case 'Enter':
      return editText(editor, event);
    case ']':
      editor.reorder('forward');
      return true;
    case '[':
      editor.reorder('backward');
      return true;
    case '+':
    case '=':
      editor.viewport.zoomTo(editor.viewport.scale * 1.25);
      return true;
    case '-':
      editor.viewport.zoomTo(editor.viewport.scale / 1.25);
      return true;
    case '?':
      openHelp();
      return true;
    case 'c':
      open.chat();
      return true;
    case 'g':
      open.prompt();
      return true;
  }
  const tool = TOOLS.find((t) => t.key.toLowerCase() === event.key.toLowerCase());
  if (tool && !event.altKey) editor.setTool(tool.name);
  return tool !== undefined;
}

function editText(editor: Editor, event: KeyboardEvent): boolean {
  const [only] = editor.selected();
  if (event.target instanceof HTMLButtonElement || editor.selection.size !== 1 || !only || !editor.canEdit) return false;
  if (only.type !== 'text' && only.type !== 'note') return false;
  editor.textRequested.emit({ id: only.id });
  return true;
}
