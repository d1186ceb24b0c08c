import { createInvite, HttpError, listInvites, revokeInvite, revokePictureLinks, type Invite } from '../http';
import type { Role } from '../protocol';
import { h } from '../util/dom';
import { copyText } from '../util/clipboard';
import { openDialog } from './controls';
import type { Toasts } from './toasts';

const ROLES: [Role, string, string][] = [
  ['editor', 'Editor', 'Draws, moves and deletes'],
  ['commenter', 'Commenter', 'Chats and comments'],
  ['viewer', 'Viewer', 'Looks on'],
];
const DAY = 86_400_000;
const LIVES: [string, number][] = [['Never expires', 0], ['Expires in a day', DAY], ['Expires in a week', 7 * DAY]];
const USES: [string, number][] = [['Any number', 0], ['One person', 1], ['Ten people', 10]];

/** For owners: links that let people in with a role, whatever the room's visibility; and those there are. */
export function shareDialog(room: { id: string; token: () => string }, toasts: Toasts): void {
  const choices = h('div', { class: 'choices', role: 'radiogroup', 'aria-label': 'Role' });
  for (const [value, label, explanation] of ROLES) {
    const radio = h('input', { type: 'radio', name: 'role', value, testid: `invite-${value}`, checked: value === 'editor' });
    choices.append(h('label', { class: 'choice' }, radio, h('span', {}, h('strong', { text: label }), h('small', { class: 'muted', text: explanation }))));
  }
  const life = select('life', 'How long the link is good', LIVES);
  const uses = select('uses', 'How many people it lets in', USES);
  const made = h('input', { class: 'field', readonly: true, hidden: true, testid: 'invite-url', 'aria-label': 'Invite link' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const plain = h('button', { class: 'quiet', type: 'button', text: 'Copy the room’s own link', testid: 'copy-link', on: { click: async () => tell(toasts, location.href) } });
  const submit = h('button', { class: 'primary', type: 'submit', text: 'Make invite link', testid: 'make-invite' });
  const list = h('ul', { class: 'invites', testid: 'invites' });
  const links = h('button', { class: 'quiet', type: 'button', text: 'Revoke links to pictures', testid: 'revoke-links', title: 'Pictures opened by a copied address: those addresses stop working' });
  const form = h('form', { class: 'stack' }, h('h2', { text: 'Share this room' }), choices, h('div', { class: 'pair' }, life, uses), made, problem, submit, list, plain, links);
  openDialog(form, 'Share this room', true);

  const refused = (error: unknown) => (problem.textContent = error instanceof HttpError ? error.message : String(error));
  const load = async () => {
    const { invites } = await listInvites(room.token(), room.id);
    list.replaceChildren(...invites.map((invite) => entry(invite, () => revokeInvite(room.token(), room.id, invite.id).then(load).catch(refused))));
  };
  load().catch(refused);
  links.addEventListener('click', async () => {
    problem.textContent = '';
    try {
      await revokePictureLinks(room.token(), room.id);
      toasts.show('Addresses of pictures that were copied before no longer work');
    } catch (error) {
      refused(error);
    }
  });
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    problem.textContent = '';
    const asked = new FormData(form);
    const [lasts, people] = [Number(asked.get('life')), Number(asked.get('uses'))];
    try {
      const invite = await createInvite(room.token(), room.id, {
        role: asked.get('role') as Role,
        ...(people ? { uses: people } : {}),
        ...(lasts ? { expires_at: new Date(Date.now() + lasts).toISOString() } : {}),
      });
      made.value = invite.url;
      made.hidden = false;
      made.select();
      await tell(toasts, invite.url);
      await load();
    } catch (error) {
      refused(error);
    }
    submit.disabled = false;
  });
}

function select(name: string, label: string, options: [string, number][]): HTMLElement {
  const field = h('select', { class: 'field', name, 'aria-label': label });
  for (const [text, value] of options) field.append(h('option', { value: String(value), text }));
  return field;
}

function entry(invite: Invite, revoke: () => void): HTMLElement {
  const used = invite.uses ? `${invite.used} of ${invite.uses} used` : `${invite.used} used`;
  const until = invite.expires_at ? `, until ${new Date(invite.expires_at).toLocaleDateString()}` : '';
  const button = h('button', { class: 'quiet', type: 'button', text: 'Revoke', testid: 'revoke-invite', on: { click: revoke } });
  return h('li', {}, h('span', {}, h('strong', { text: invite.role }), h('small', { class: 'muted', text: ` ${used}${until}` })), button);
}

/** Copies a link, and says so; or shows it where the browser does not let us. */
export async function tell(toasts: Toasts, link: string): Promise<void> {
  toasts.show((await copyText(link)) ? 'Link copied' : `The link is ${link}`);
}
