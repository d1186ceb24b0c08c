import type { Session } from '../sync/session';
import { h } from '../util/dom';
import { avatar } from './controls';

/** Avatars shown before the rest becomes a number. */
const AVATARS = 4;

/** Who is here: avatars, and a list with names and roles behind them. */
export function presenceList(session: Session): HTMLElement {
  const faces = h('button', { class: 'faces', type: 'button', 'aria-label': 'People in this room', 'aria-expanded': 'false', testid: 'people' });
  const list = h('ul', { class: 'people-list', testid: 'people-list', hidden: true });
  const root = h('div', { class: 'presence' }, faces, list);
  const toggle = (open: boolean) => {
    list.hidden = !open;
    faces.setAttribute('aria-expanded', String(open));
  };
  faces.addEventListener('click', () => toggle(list.hidden === true));
  document.addEventListener('pointerdown', (event) => !root.contains(event.target as Node) && toggle(false), { signal: session.ended.signal });
  const render = () => {
    const me = session.identity.user.id;
    const people = session.presence.people().sort((a, b) => Number(b.id === me) - Number(a.id === me) || a.name.localeCompare(b.name));
    const shown = people.slice(0, AVATARS).map((p) => avatar(p.name, p.color));
    if (people.length > AVATARS) shown.push(h('span', { class: 'avatar more', text: `+${people.length - AVATARS}` }));
    faces.replaceChildren(...shown);
    faces.hidden = people.length === 0;
    faces.title = people.map((p) => p.name).join(', ');
    list.replaceChildren(
      ...people.map((p) => {
        const role = p.id === me ? session.role : p.role;
        return h('li', { testid: 'person' }, avatar(p.name, p.color), h('span', { class: 'grow', text: p.id === me ? `${p.name} (you)` : p.name }), h('span', { class: 'role', text: role ?? '' }));
      }),
    );
  };
  session.presence.changed.on(render);
  session.roleChanged.on(render);
  render();
  return root;
}
