import type { Editor } from '../editor/editor';
import type { Does, Model, Placement, Wish } from '../generations/api';
import type { Generations } from '../generations/generations';
import type { Element } from '../protocol';
import { isAsset } from '../stage/bitmaps';
import { bounds, localBox, overlaps, type Box } from '../stage/geometry';
import { dollars } from '../util/amounts';
import { h } from '../util/dom';
import { iconButton } from './controls';

const LABELS: Record<Does, string> = {
  text_to_image: 'Picture', text_to_video: 'Video', restyle: 'Restyle', remove_background: 'Remove background', isolate: 'Cut out', image_to_video: 'To video',
};
const ASKS: Record<Does, string> = {
  text_to_image: 'Describe the picture', text_to_video: 'Describe the video', restyle: 'Say what to change, such as “as a watercolour”',
  remove_background: '', isolate: 'Name the object, such as “the red chair”', image_to_video: 'Say what happens in it',
};
/** What takes the place of the picture that it was made of; everything else stands beside it. */
const REPLACES = new Set<Does>(['remove_background', 'isolate']);
/** Between what is made and what it is made of, in canvas units. */
const GAP = 20;
/** Share of the free screen's shorter side that a new picture takes. */
const SHARE = 0.6;

/** Where people say what is to be made: of nothing but words, or of the picture or video that is selected. */
export class PromptBox {
  readonly root: HTMLElement;
  private readonly kinds = h('div', { class: 'prompt-kinds', role: 'radiogroup', 'aria-label': 'What to make' });
  private readonly models = h('select', { class: 'field', testid: 'prompt-model', 'aria-label': 'Model' });
  private readonly text = h('textarea', { class: 'field', rows: 2, testid: 'prompt-text', 'aria-label': 'Prompt' });
  private readonly problem = h('p', { class: 'problem', role: 'alert', testid: 'prompt-problem' });
  private readonly price = h('span', { class: 'muted grow', testid: 'prompt-price' });
  private readonly submit = h('button', { class: 'primary', type: 'submit', text: 'Make', testid: 'prompt-submit' });
  private does: Does = 'text_to_image';

  constructor(private readonly editor: Editor, private readonly generations: Generations, openList: () => void) {
    const list = h('button', { class: 'quiet', type: 'button', text: 'History', testid: 'generations-toggle', on: { click: openList } });
    const close = iconButton({ icon: 'close', label: 'Close', onClick: () => this.toggle(false) });
    const form = h('form', {}, h('div', { class: 'prompt-row' }, this.kinds, h('span', { class: 'grow' }), close), this.text, this.problem, h('div', { class: 'prompt-row' }, this.models, this.price, list, this.submit));
    this.root = h('section', { class: 'prompt-box panel', hidden: true, 'aria-label': 'Make with AI', testid: 'prompt-box' }, form);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.make();
    });
    this.text.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.toggle(false);
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      void this.make();
    });
    this.models.addEventListener('change', () => this.showModel());
    editor.selection.changed.on(() => this.show());
    editor.session.doc.changed.on(() => !this.root.hidden && this.show());
    editor.session.roleChanged.on(() => this.show());
    generations.modelsChanged.on(() => this.show());
  }

  toggle(open = this.root.hidden): void {
    this.root.hidden = !open || !this.generations.offered;
    this.show();
    if (!this.root.hidden) this.text.focus();
  }

  /** The one picture or video that is selected, where its file is the server's. */
  private subject(): Element | undefined {
    const [only, more] = this.editor.selected();
    if (!only || more || (only.type !== 'image' && only.type !== 'video') || typeof only.src !== 'string' || !isAsset(only.src)) return undefined;
    return only;
  }

  /** Models for what is selected, or for words alone. */
  private choices(): Model[] {
    const subject = this.subject();
    const takes = subject && (subject.type === 'video' || subject['isVideo'] === true ? 'video_url' : 'image_url');
    return this.generations.models.filter((m) => m.takes === takes);
  }

  private show(): void {
    if (!this.generations.offered) this.root.hidden = true;
    if (this.root.hidden) return;
    const choices = this.choices();
    const kinds = [...new Set(choices.map((m) => m.does))];
    if (!kinds.includes(this.does)) this.does = kinds[0] ?? this.does;
    this.kinds.replaceChildren(...kinds.map((does) => {
      const choose = () => {
        this.does = does;
        this.show();
      };
      return h('button', { type: 'button', class: 'prompt-kind', role: 'radio', 'aria-checked': String(does === this.does), testid: `prompt-${does}`, text: LABELS[does], on: { click: choose } });
    }));
    const models = choices.filter((m) => m.does === this.does);
    const before = this.models.value;
    this.models.replaceChildren(...models.map((m) => h('option', { value: m.model, text: m.name })));
    if (models.some((m) => m.model === before)) this.models.value = before;
    this.showModel();
  }

  private model(): Model | undefined {
    return this.choices().find((m) => m.model === this.models.value);
  }

  private showModel(): void {
    const model = this.model();
    this.text.hidden = !model?.prompt;
    this.text.placeholder = ASKS[this.does];
    this.price.textContent = model ? `about ${dollars(model.estimate)}` : 'There is nothing to make of this';
    this.submit.disabled = !model;
  }

  private async make(): Promise<void> {
    const model = this.model();
    if (!model || this.submit.disabled) return;
    const prompt = this.text.value.trim();
    if (model.prompt && !prompt) {
      this.problem.textContent = `${ASKS[this.does]}.`;
      return this.text.focus();
    }
    this.problem.textContent = '';
    this.submit.disabled = true;
    const refusal = await this.generations.ask(this.wish(model, prompt));
    this.submit.disabled = false;
    if (refusal !== undefined) this.problem.textContent = refusal;
    else if (model.prompt) this.text.value = '';
  }

  private wish(model: Model, prompt: string): Wish {
    const subject = this.subject();
    const wish: Wish = { model: model.model, placement: this.placement(model, subject) };
    if (model.prompt) wish.prompt = prompt;
    if (model.takes && subject) wish.input = { [model.takes]: subject.src };
    return wish;
  }

  private placement(model: Model, subject: Element | undefined): Placement {
    if (subject) return REPLACES.has(model.does) ? { element_id: subject.id } : this.beside(subject);
    const { viewport } = this.editor;
    const free = Math.max(100, this.root.getBoundingClientRect().top); // what the box leaves of the screen
    const side = Math.round((Math.min(viewport.width, free) * SHARE) / viewport.scale);
    const middle = viewport.toCanvas({ x: viewport.width / 2, y: free / 2 });
    return { x: Math.round(middle.x - side / 2), y: Math.round(middle.y - side / 2), width: side, height: side };
  }

  /** To the right of what it is made of, where nothing stands yet. */
  private beside(subject: Element): Placement {
    const { width, height } = localBox(subject);
    const place = { ...bounds(subject), width, height };
    const taken = this.editor.session.doc.elements().map(bounds);
    for (let inTheWay: Box | undefined = bounds(subject); inTheWay; inTheWay = taken.find((box) => overlaps(box, place))) place.x = inTheWay.x + inTheWay.width + GAP;
    return place;
  }
}
