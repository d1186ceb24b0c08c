import { HttpError, redeemInvite } from '../http';
import type { Identity } from '../identity';
import { h } from '../util/dom';
import { brand } from './room-list';

/** The page at "/invite#CODE": enters the room that the invite is for. The code is in the fragment, which goes to no server log. */
export function showInvite(root: HTMLElement, identity: Identity, code: string, go: (path: string) => void): void {
  document.title = 'Invite · Kanvas';
  const text = h('p', { class: 'muted', text: 'Opening the invite …', role: 'status' });
  const home = h('button', { class: 'primary', type: 'button', text: 'All rooms', hidden: true, on: { click: () => go('/') } });
  root.replaceChildren(h('div', { class: 'list-page' }, h('header', { class: 'list-header' }, brand()), h('main', {}, h('div', { class: 'empty' }, text, home))));
  redeemInvite(identity.token, code).then(
    (room) => go(`/r/${encodeURIComponent(room.id)}`),
    (error: unknown) => {
      text.textContent = error instanceof HttpError ? sentence(error.message) : String(error);
      text.dataset['testid'] = 'invite-problem';
      home.hidden = false;
    },
  );
}

const sentence = (s: string) => `${s.charAt(0).toUpperCase()}${s.slice(1)}.`;
