import type { Session } from '../sync/session';
import { h } from '../util/dom';
import { icon } from './icons';

/** Says whether everything is saved. A refusal stays until it is dismissed. */
export function statusPill(session: Session): HTMLElement {
  const text = h('span', { testid: 'status-text' });
  const dismiss = h('button', { class: 'pill-button', type: 'button', 'aria-label': 'Dismiss', testid: 'dismiss', on: { click: () => session.saver.dismissRefusal() } }, icon('close'));
  const retry = h('button', { class: 'pill-button word', type: 'button', text: 'Retry', on: { click: () => session.connection.retryNow() } });
  const pill = h('div', { class: 'pill', role: 'status', 'aria-live': 'polite', testid: 'status' }, h('span', { class: 'dot' }), text, retry, dismiss);
  const show = () => {
    const status = session.status;
    pill.dataset['kind'] = status.kind;
    text.textContent = status.text;
    pill.title = status.text;
    dismiss.hidden = status.kind !== 'refused' || session.saver.refused === undefined;
    retry.hidden = status.kind !== 'offline';
  };
  session.statusChanged.on(show);
  show();
  return pill;
}
