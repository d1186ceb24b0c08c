import { HttpError } from '../http';
import { Identity } from '../identity';
import { h } from '../util/dom';
import { hash, newId } from '../util/ids';
import { openDialog } from './controls';

const FIRST = ['Quiet', 'Bright', 'Swift', 'Gentle', 'Clever', 'Merry', 'Brave', 'Curious', 'Lucky', 'Sunny'];
const SECOND = ['Heron', 'Otter', 'Maple', 'Comet', 'Fox', 'Willow', 'Finch', 'Badger', 'Lynx', 'Robin'];
const MAX_NAME = 64;

function suggestion(): string {
  const n = hash(newId());
  return `${FIRST[n % FIRST.length]} ${SECOND[(n >>> 8) % SECOND.length]}`;
}

/** Asks for a name at the first visit; ends with an identity. */
export function askName(): Promise<Identity> {
  return new Promise((resolve) => {
    const input = h('input', { class: 'field', testid: 'name-input', name: 'name', maxlength: MAX_NAME, autocomplete: 'nickname', 'aria-label': 'Your name', value: suggestion() });
    const problem = h('p', { class: 'problem', role: 'alert' });
    const button = h('button', { class: 'primary', type: 'submit', text: 'Continue', testid: 'name-submit' });
    const form = h('form', { class: 'stack' }, h('h2', { text: 'Welcome to Kanvas' }), h('p', { class: 'muted', text: 'What should the others call you?' }), input, problem, button);
    const close = openDialog(form, 'Your name', false);
    input.select();
    form.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      try {
        const identity = await Identity.create(input.value.trim() || suggestion());
        close();
        resolve(identity);
      } catch (error) {
        problem.textContent = error instanceof HttpError ? error.message : 'Something went wrong.';
        button.disabled = false;
      }
    });
  });
}
