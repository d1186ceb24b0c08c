import type { Editor } from '../editor/editor';
import { offlineStep } from '../sync/session';
import { h } from '../util/dom';
import { iconButton } from './controls';
import { openHelp } from './help';

/** Undo, redo and zoom, at the lower left. */
export function viewBar(editor: Editor): HTMLElement {
  const { viewport, session } = editor;
  const undo = iconButton({ icon: 'undo', label: 'Undo', keys: 'Ctrl+Z', testid: 'undo', onClick: () => session.step('undo') });
  const redo = iconButton({ icon: 'redo', label: 'Redo', keys: 'Ctrl+Shift+Z', testid: 'redo', onClick: () => session.step('redo') });
  const steps = [[undo, 'undo'], [redo, 'redo']] as const;
  const titles = new Map(steps.map(([button, command]) => [command, button.title]));
  const rule = h('span', { class: 'rule' });
  const percent = h('button', { class: 'percent', type: 'button', title: 'Zoom to 100 %  (Shift+0)', 'aria-label': 'Zoom to 100 %', testid: 'zoom', on: { click: () => viewport.zoomTo(1) } });
  const bar = h(
    'div',
    { class: 'view-bar panel', role: 'toolbar', 'aria-label': 'History and zoom' },
    undo,
    redo,
    rule,
    iconButton({ icon: 'minus', label: 'Zoom out', keys: '−', onClick: () => viewport.zoomTo(viewport.scale / 1.25) }),
    percent,
    iconButton({ icon: 'plus', label: 'Zoom in', keys: '+', onClick: () => viewport.zoomTo(viewport.scale * 1.25) }),
    iconButton({ icon: 'fit', label: 'Zoom to fit', keys: 'Shift+1', testid: 'zoom-fit', onClick: () => editor.zoomToFit() }),
    iconButton({ icon: 'help', label: 'Keyboard help', keys: '?', testid: 'help', onClick: openHelp }),
  );
  const show = () => {
    percent.textContent = `${Math.round(viewport.scale * 100)} %`;
    undo.hidden = redo.hidden = rule.hidden = !editor.canEdit;
    for (const [button, command] of steps) {
      button.disabled = !session.online;
      button.title = session.online ? (titles.get(command) ?? '') : offlineStep(command);
    }
  };
  viewport.changed.on(show);
  session.roleChanged.on(show);
  session.connection.phases.on(show);
  show();
  return bar;
}
