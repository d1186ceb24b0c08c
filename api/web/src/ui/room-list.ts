import { createRoom, HttpError, listRooms } from '../http';
import type { Identity } from '../identity';
import type { Room, Visibility } from '../protocol';
import { h } from '../util/dom';
import { hash, newId } from '../util/ids';
import { ago } from '../util/time';
import { accountDialog } from './account-dialog';
import { avatar, openDialog } from './controls';
import { icon } from './icons';

/** Milliseconds between two looks at who is online where. */
const REFRESH = 10_000;
const MAX_NAME = 120;

const VISIBILITIES: [Visibility, string, string][] = [
  ['public', 'Public', 'Listed here; anybody may enter'],
  ['unlisted', 'Unlisted', 'Anybody who has the link may enter'],
  ['private', 'Private', 'Only people who were let in'],
];

/** The page at "/": public rooms, newest first, and a way to make one. */
export function showRoomList(root: HTMLElement, identity: Identity, go: (path: string) => void): () => void {
  document.title = 'Kanvas';
  const grid = h('div', { class: 'rooms', testid: 'room-list', role: 'list' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const more = h('button', { class: 'quiet', type: 'button', text: 'Show more', hidden: true });
  const create = h('button', { class: 'primary with-icon', type: 'button', testid: 'new-room', on: { click: () => newRoomDialog(identity, go) } }, icon('plus'), 'New room');
  const you = h('button', { class: 'you quiet', type: 'button', testid: 'account', title: identity.signedIn ? 'You are signed in' : 'You are a guest in this browser', on: { click: () => accountDialog(identity, () => go('/')) } }, avatar(identity.user.name, identity.user.color), h('span', { text: identity.user.name, testid: 'my-name' }));
  const header = h('header', { class: 'list-header' }, brand(), h('span', { class: 'grow' }), you);
  const intro = h('div', { class: 'intro' }, h('div', {}, h('h1', { text: 'Rooms' }), h('p', { class: 'muted', text: 'A canvas for each: draw, arrange pictures and think, together.' })), create);
  root.replaceChildren(h('div', { class: 'list-page' }, header, h('main', {}, intro, problem, grid, more)));

  let rooms: Room[] = [];
  let next = '';
  const load = async (cursor: string) => {
    try {
      const page = await listRooms(identity.token, cursor);
      rooms = cursor ? [...rooms, ...page.rooms] : page.rooms;
      next = page.next_cursor ?? '';
      problem.textContent = '';
      render();
    } catch (error) {
      problem.textContent = error instanceof HttpError ? error.message : String(error);
    }
  };
  const render = () => {
    more.hidden = next === '';
    grid.replaceChildren(...(rooms.length ? rooms.map((room) => card(room, go)) : [empty()]));
  };
  more.addEventListener('click', () => void load(next));
  void load('');
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible' && rooms.length <= 50) void load('');
  }, REFRESH);
  return () => clearInterval(timer);
}

export function brand(): HTMLElement {
  const logo = h('img', { src: '/favicon.svg', alt: '', width: 28, height: 28 });
  return h('span', { class: 'brand' }, logo, 'Kanvas');
}

function empty(): HTMLElement {
  return h('div', { class: 'empty' }, h('p', { text: 'No public rooms yet.' }), h('p', { class: 'muted', text: 'Make the first one: it takes a name.' }));
}

function card(room: Room, go: (path: string) => void): HTMLElement {
  const path = `/r/${encodeURIComponent(room.id)}`;
  const online = room.online ?? 0;
  const people = h('span', { class: online ? 'online' : 'online none', text: online ? `${online} here now` : 'nobody here now' });
  const facts = h('div', { class: 'facts' }, people, h('span', { text: ago(room.updated_at ?? room.created_at) }));
  const link = h(
    'a',
    { class: 'room-card', href: path, role: 'listitem', testid: 'room-card', on: { click: (event) => open(event, path, go) } },
    pattern(room.id),
    h('div', { class: 'room-text' }, h('h3', { text: room.name || 'Untitled' }), room.description ? h('p', { class: 'muted', text: room.description }) : undefined, facts),
  );
  return link;
}

function open(event: MouseEvent, path: string, go: (path: string) => void): void {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(path);
}

/** A small abstract drawing of its own for each room, from its id. */
function pattern(id: string): SVGSVGElement {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('viewBox', '0 0 240 110');
  svg.setAttribute('preserveAspectRatio', 'xMidYMid slice');
  svg.setAttribute('class', 'pattern');
  svg.setAttribute('aria-hidden', 'true');
  const hue = hash(id) % 360;
  svg.style.background = `hsl(${hue} 60% var(--tile))`;
  for (let i = 0; i < 6; i++) {
    const n = hash(`${id}${i}`);
    const shape = document.createElementNS('http://www.w3.org/2000/svg', n % 2 ? 'circle' : 'rect');
    const [x, y, size] = [n % 240, (n >>> 8) % 110, 16 + ((n >>> 16) % 38)];
    const attributes = n % 2 ? { cx: x, cy: y, r: size / 1.6 } : { x: x - size, y: y - size / 2, width: size * 1.7, height: size, rx: 7, transform: `rotate(${(n >>> 20) % 40 - 20} ${x} ${y})` };
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, String(value));
    shape.setAttribute('fill', `hsl(${(hue + i * 28) % 360} 70% var(--tile-shape) / 0.55)`);
    svg.append(shape);
  }
  return svg;
}

function newRoomDialog(identity: Identity, go: (path: string) => void): void {
  const name = h('input', { class: 'field', testid: 'room-name', name: 'room', maxlength: MAX_NAME, placeholder: 'Untitled', 'aria-label': 'Name of the room', autocomplete: 'off' });
  const choices = h('div', { class: 'choices', role: 'radiogroup', 'aria-label': 'Who may enter' });
  for (const [value, label, explanation] of VISIBILITIES) {
    const radio = h('input', { type: 'radio', name: 'visibility', value, testid: `visibility-${value}`, checked: value === 'public' });
    choices.append(h('label', { class: 'choice' }, radio, h('span', {}, h('strong', { text: label }), h('small', { class: 'muted', text: explanation }))));
  }
  const problem = h('p', { class: 'problem', role: 'alert' });
  const submit = h('button', { class: 'primary', type: 'submit', text: 'Create room', testid: 'create-room' });
  const form = h('form', { class: 'stack' }, h('h2', { text: 'New room' }), name, choices, problem, submit);
  const close = openDialog(form, 'New room', true);
  const id = newId();
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    const visibility = (new FormData(form).get('visibility') as Visibility | null) ?? 'public';
    try {
      const room = await createRoom(identity.token, { id, name: name.value.trim() || 'Untitled', visibility });
      close();
      go(`/r/${encodeURIComponent(room.id)}`);
    } catch (error) {
      problem.textContent = error instanceof HttpError ? error.message : String(error);
      submit.disabled = false;
    }
  });
}
