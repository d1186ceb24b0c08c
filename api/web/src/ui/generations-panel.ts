import type { Editor } from '../editor/editor';
import { listMade, type Made } from '../generations/api';
import type { Generations } from '../generations/generations';
import { getMe, HttpError } from '../http';
import { bounds } from '../stage/geometry';
import { budgetText, dollars } from '../util/amounts';
import { h } from '../util/dom';
import { ago } from '../util/time';
import { iconButton } from './controls';

const STATUS: Record<string, string> = {
  queued: 'waiting', submitting: 'waiting', submitted: 'waiting', running: 'being made', succeeded: 'made', failed: 'failed', canceled: 'cancelled', unknown: 'unknown',
};

/** What was made in the room and what it cost, newest first; a click shows it on the canvas. */
export class GenerationsPanel {
  readonly root: HTMLElement;
  private readonly list = h('ul', { class: 'made', testid: 'generations' });
  private readonly budget = h('p', { class: 'muted', testid: 'my-budget' });
  private readonly more = h('button', { class: 'quiet', type: 'button', text: 'Older ones', hidden: true });
  private readonly problem = h('p', { class: 'problem', role: 'alert' });
  private cursor = '';
  private loading = false;
  private again = false;

  constructor(private readonly editor: Editor, generations: Generations) {
    const close = iconButton({ icon: 'close', label: 'Close', onClick: () => this.toggle(false) });
    this.root = h('aside', { class: 'chat panel', hidden: true, 'aria-label': 'Made here', testid: 'generations-panel' },
      h('header', {}, h('h2', { text: 'Made here' }), h('span', { class: 'grow' }), close), h('div', { class: 'made-list' }, this.budget, this.list, this.problem, this.more));
    this.more.addEventListener('click', () => void this.load(this.cursor));
    generations.changed.on(() => !this.root.hidden && void this.load(''));
  }

  toggle(open = this.root.hidden): void {
    this.root.hidden = !open;
    if (open) void this.load('');
  }

  private async load(cursor: string): Promise<void> {
    if (this.loading) {
      this.again = true;
      return;
    }
    this.loading = true;
    const { session } = this.editor;
    const { token } = session.identity;
    try {
      const [{ generations, next_cursor: next }, { budget }] = await Promise.all([listMade(token, session.room.id, cursor), getMe(token)]);
      const entries = generations.map((made) => this.entry(made));
      if (cursor) this.list.append(...entries);
      else this.list.replaceChildren(...entries);
      this.cursor = next ?? '';
      this.more.hidden = !next;
      this.problem.textContent = '';
      this.budget.textContent = budget ? budgetText(budget) : '';
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.problem.textContent = error.message;
    } finally {
      this.loading = false;
    }
    if (!this.again) return;
    this.again = false;
    void this.load('');
  }

  private entry(made: Made): HTMLElement {
    const cost = made.cost ?? (made.status === 'succeeded' ? 0 : undefined);
    const facts = [STATUS[made.status] ?? made.status, cost === undefined ? undefined : dollars(cost), made.user.name, ago(made.requested_at)].filter(Boolean).join(' · ');
    const show = () => {
      const element = this.editor.session.doc.get(made.element_id);
      if (!element) return this.editor.session.notice.emit('It is on the canvas no more');
      this.editor.viewport.fit(bounds(element));
      this.editor.setTool('select');
      this.editor.selection.set([element.id]);
    };
    const text = made.forgotten ? 'A prompt that was deleted' : made.prompt || shortName(made.model);
    return h('li', {}, h('button', { type: 'button', class: 'made-entry', testid: 'generation', title: made.model, on: { click: show } },
      h('strong', { text }), h('small', { class: 'muted', text: facts }), made.detail ? h('small', { class: 'problem', text: made.detail }) : undefined));
  }
}

const shortName = (model: string): string => model.split('/').slice(1).join(' ');
