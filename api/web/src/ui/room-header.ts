import type { Identity } from '../identity';
import type { Session } from '../sync/session';
import { h } from '../util/dom';
import type { ChatPanel } from './chat-panel';
import { iconButton } from './controls';
import { icon } from './icons';
import { presenceList } from './presence-list';
import { shareDialog, tell } from './share-dialog';
import { statusPill } from './status-pill';
import type { Toasts } from './toasts';

const MAX_NAME = 120;

/** Upper left: the way home, the room's name (its owner may change it), and whether everything is saved. */
export function roomHeader(session: Session, go: (path: string) => void): HTMLElement {
  const home = h('a', { class: 'home', href: '/', 'aria-label': 'All rooms', title: 'All rooms', testid: 'home' }, h('img', { src: '/favicon.svg', alt: '', width: 26, height: 26 }));
  home.addEventListener('click', (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    go('/');
  });
  const name = h('input', { class: 'room-name', 'aria-label': 'Name of the room', testid: 'room-title', maxlength: MAX_NAME, spellcheck: 'false' });
  const visibility = h('span', { class: 'visibility' });
  const show = () => {
    if (document.activeElement !== name) name.value = session.room.name || 'Untitled';
    name.readOnly = session.role !== 'owner';
    name.size = Math.max(6, Math.min(28, name.value.length));
    visibility.replaceChildren(icon(session.room.visibility === 'private' ? 'lock' : session.room.visibility === 'public' ? 'globe' : 'share'));
    visibility.title = `This room is ${session.room.visibility}`;
  };
  name.addEventListener('input', () => (name.size = Math.max(6, Math.min(28, name.value.length))));
  name.addEventListener('keydown', (event) => (event.key === 'Enter' || event.key === 'Escape') && name.blur());
  name.addEventListener('blur', () => {
    const wanted = name.value.trim();
    if (wanted && wanted !== session.room.name && session.role === 'owner') session.submit([{ command: 'room.update', data: { name: wanted } }]);
    else show();
  });
  session.roomChanged.on(show);
  session.roleChanged.on(show);
  show();
  return h('header', { class: 'top-left panel' }, home, name, visibility, statusPill(session));
}

/** Upper right: who is here, chat and the link to share. */
export function roomCorner(session: Session, identity: Identity, chat: ChatPanel, toasts: Toasts): HTMLElement {
  const badge = h('span', { class: 'badge', hidden: true, testid: 'unread' });
  const open = iconButton({ icon: 'chat', label: 'Chat', keys: 'C', testid: 'chat-toggle', onClick: () => chat.toggle() });
  open.append(badge);
  chat.unreadChanged.on((n) => {
    badge.hidden = n === 0;
    badge.textContent = n > 99 ? '99+' : String(n);
  });
  const share = h('button', { class: 'primary with-icon', type: 'button', testid: 'share', title: 'Invite people to this room' }, icon('share'), h('span', { text: 'Share' }));
  share.addEventListener('click', () => {
    if (session.role === 'owner') shareDialog({ id: session.room.id, token: () => identity.token }, toasts);
    else void tell(toasts, location.href);
  });
  return h('div', { class: 'top-right panel' }, presenceList(session), open, share);
}
