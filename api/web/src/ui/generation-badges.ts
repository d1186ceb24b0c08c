import type { Editor } from '../editor/editor';
import { markOf, type Generations, type Mark } from '../generations/generations';
import type { Element } from '../protocol';
import type { BadgeState, Badges } from './badges';

/** Shows on elements what is being made in them, how far it is, and why there is no result. */
export function generationBadges(generations: Generations, editor: Editor, badges: Badges): void {
  const { session } = editor;
  const marked = new Map<string, string>();
  const show = (id: string) => {
    const element = session.doc.get(id);
    const mark = element && markOf(element);
    if (element && mark) {
      marked.set(id, mark.id);
      badges.set(id, stateOf(element, mark, generations, editor));
    } else if (marked.delete(id)) badges.set(id, undefined);
  };
  session.doc.changed.on((ids) => ids.forEach(show));
  session.roleChanged.on(() => [...marked.keys()].forEach(show));
  generations.progressed.on((generation) => {
    for (const [id, waitsFor] of marked) if (waitsFor === generation) show(id);
  });
  for (const element of session.doc.elements()) show(element.id);
}

function stateOf(element: Element, mark: Mark, generations: Generations, editor: Editor): BadgeState {
  const retry = { label: 'Try again', testid: 'generation-retry', run: () => void generations.retry(mark.id) };
  const drop = {
    label: element.src ? 'Dismiss' : 'Remove',
    testid: 'generation-drop',
    run: () => void editor.session.submit([element.src ? { command: 'element.patch', data: { id: element.id, unset: ['generation'] } } : { command: 'element.remove', data: { ids: [element.id] } }]),
  };
  const actions = editor.canEdit ? [retry, drop] : [];
  if (mark.status === 'failed') return { kind: 'failed', text: mark.detail || 'It could not be made', actions };
  if (mark.status === 'unknown') return { kind: 'failed', text: 'Nobody can say whether this is being made: it may still come', actions };
  const cancel = { label: 'Cancel', testid: 'generation-cancel', icon: 'close' as const, run: () => void generations.cancel(mark.id) };
  return { kind: 'busy', text: busyText(generations.progressOf(mark.id)), actions: editor.canEdit ? [cancel] : [] };
}

function busyText(progress: { status: string; position?: number | undefined } | undefined): string {
  if (progress?.status === 'running') return 'being made…';
  if (progress?.position !== undefined && progress.position > 0) return `waiting, ${progress.position} before it`;
  return 'waiting its turn…';
}
