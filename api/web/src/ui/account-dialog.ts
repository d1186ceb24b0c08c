import { getMe, HttpError } from '../http';
import { Identity } from '../identity';
import { budgetText, bytes } from '../util/amounts';
import { h } from '../util/dom';
import { avatar, openDialog } from './controls';

/** Who you are here: a guest may sign in with a token (of `kanvas token`, or a session of Clerk), and whoever is signed in may sign out. */
export function accountDialog(identity: Identity, changed: () => void): void {
  const who = h('div', { class: 'you' }, avatar(identity.user.name, identity.user.color), h('span', {}, identity.user.name, ' '), h('small', { class: 'muted', testid: 'account-kind', text: identity.signedIn ? 'signed in' : 'guest in this browser' }));
  const standing = h('p', { class: 'muted', testid: 'standing' });
  void tellStanding(identity, standing);
  const problem = h('p', { class: 'problem', role: 'alert' });
  if (identity.signedIn) {
    const out = h('button', { class: 'quiet', type: 'button', text: 'Sign out', testid: 'sign-out' });
    const close = openDialog(h('div', { class: 'stack' }, h('h2', { text: 'You' }), who, h('p', { class: 'muted', text: identity.user.id }), standing, out), 'You', true);
    out.addEventListener('click', () => {
      Identity.signOut();
      close();
      changed();
    });
    return;
  }
  const token = h('input', { class: 'field', type: 'password', name: 'token', testid: 'token-input', placeholder: 'Token', 'aria-label': 'Token', autocomplete: 'off', spellcheck: 'false' });
  const submit = h('button', { class: 'primary', type: 'submit', text: 'Sign in', testid: 'sign-in' });
  const form = h('form', { class: 'stack' }, h('h2', { text: 'Sign in' }), who, h('p', { class: 'muted', text: 'Sign in with a token. The rooms that you made as a guest become yours too.' }), standing, token, problem, submit);
  const close = openDialog(form, 'Sign in', true);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    submit.disabled = true;
    try {
      await Identity.signIn(token.value.trim());
      close();
      changed();
    } catch (error) {
      problem.textContent = error instanceof HttpError ? error.message : 'Something went wrong.';
      submit.disabled = false;
    }
  });
}

/** What somebody keeps and has spent; nothing where the server can't say now. */
async function tellStanding(identity: Identity, line: HTMLElement): Promise<void> {
  try {
    const { storage, budget } = await getMe(identity.token);
    const kept = storage && `Your pictures and videos take ${bytes(storage.used)} of ${bytes(storage.limit)}.`;
    line.textContent = [kept, budget && budgetText(budget)].filter(Boolean).join(' ');
  } catch (error) {
    if (!(error instanceof HttpError)) throw error;
  }
}
