import { MAX_CHAT_BYTES } from '../protocol';
import type { Session } from '../sync/session';
import { Signal } from '../util/emitter';
import { h } from '../util/dom';
import { clock } from '../util/time';
import { avatar, iconButton } from './controls';

/** The room's chat, at the right. What is being sent is shown faded until it is saved. */
export class ChatPanel {
  readonly root: HTMLElement;
  readonly unreadChanged = new Signal<[number]>();
  private readonly list = h('div', { class: 'messages', testid: 'messages', role: 'log', 'aria-live': 'polite' });
  private readonly input = h('textarea', { class: 'field', rows: 1, testid: 'chat-input', placeholder: 'Write to everybody here', 'aria-label': 'Message' });
  private unread = 0;
  private known = 0;

  constructor(private readonly session: Session) {
    const close = iconButton({ icon: 'close', label: 'Close chat', onClick: () => this.toggle(false) });
    const send = iconButton({ icon: 'send', label: 'Send', keys: 'Enter', testid: 'chat-send', onClick: () => this.send() });
    const form = h('form', { class: 'chat-form' }, this.input, send);
    this.root = h('aside', { class: 'chat panel', hidden: true, 'aria-label': 'Chat', testid: 'chat' }, h('header', {}, h('h2', { text: 'Chat' }), h('span', { class: 'grow' }), close), this.list, form);
    form.addEventListener('submit', (event) => event.preventDefault());
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.toggle(false);
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.send();
    });
    session.chat.changed.on(() => this.render());
    session.statusChanged.on(() => this.render());
    session.ready.on(() => (this.known = session.chat.messages.length));
    session.roleChanged.on(() => this.permit());
    this.permit();
    this.render();
  }

  toggle(open = this.root.hidden): void {
    this.root.hidden = !open;
    if (!open) return;
    this.unread = 0;
    this.unreadChanged.emit(0);
    this.render();
    this.list.scrollTop = this.list.scrollHeight;
    this.input.focus();
  }

  private permit(): void {
    this.input.disabled = !this.session.canComment;
    this.input.placeholder = this.session.canComment ? 'Write to everybody here' : 'You may only watch';
  }

  private send(): void {
    const text = this.input.value.trim();
    if (text === '') return;
    if (new TextEncoder().encode(text).length > MAX_CHAT_BYTES) return this.session.notice.emit('A message may have at most 16 KiB');
    if (this.session.submit([{ command: 'chat.post', data: { text } }])) this.input.value = '';
  }

  private render(): void {
    const { messages } = this.session.chat;
    if (this.root.hidden) this.countUnread();
    this.known = messages.length;
    if (this.root.hidden) return;
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 60;
    const { user } = this.session.identity;
    const unsaved = this.session.outbox.all().filter((e) => e.commands[0]?.command === 'chat.post' && this.session.doc.isPending(e.seq));
    const waiting = unsaved.flatMap((e) => e.commands.flatMap((c) => (c.command === 'chat.post' ? [c.data.text] : [])));
    const rows = messages.map((m, i) => message(m.name, m.color ?? '#888', m.text, clock(m.at), messages[i - 1]?.userId === m.userId));
    for (const text of waiting) rows.push(h('div', { class: 'waiting' }, message(user.name, user.color, text, 'sending…', false)));
    this.list.replaceChildren(...(rows.length ? rows : [h('p', { class: 'muted', text: 'Nobody has written yet.' })]));
    if (atEnd) this.list.scrollTop = this.list.scrollHeight;
  }

  private countUnread(): void {
    if (!this.session.isReady) return;
    const more = this.session.chat.messages.length - this.known;
    if (more <= 0) return;
    this.unread += more;
    this.unreadChanged.emit(this.unread);
  }
}

function message(name: string, color: string, text: string, when: string, follows: boolean): HTMLElement {
  const who = h('div', { class: 'who' }, h('strong', { text: name || 'Somebody' }), h('time', { text: when }));
  const body = h('p', { text });
  return h('div', { class: follows ? 'message follows' : 'message', testid: 'message' }, follows ? h('span', { class: 'avatar-gap' }) : avatar(name || '?', color), h('div', {}, follows ? undefined : who, body));
}
