import type { RoomEvent } from '../protocol';
import { Signal } from '../util/emitter';

export interface ChatMessage {
  id: string;
  userId: string;
  name: string;
  color: string | undefined;
  text: string;
  at: string | number | undefined;
}

/** Messages kept on the page; older ones are in the log. */
const KEPT = 500;

type Wire = Record<string, unknown>;
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

function fromWire(wire: Wire): ChatMessage {
  const user = (wire['user'] ?? wire['actor'] ?? {}) as Wire;
  return {
    id: text(wire['id']) ?? '',
    userId: text(wire['user_id']) ?? text(user['id']) ?? '',
    name: text(wire['name']) ?? text(user['name']) ?? '',
    color: text(wire['color']) ?? text(user['color']),
    text: text(wire['text']) ?? '',
    at: (wire['at'] ?? wire['created_at'] ?? wire['timestamp']) as string | number | undefined,
  };
}

/** The room's talk: durable messages only; what is being sent is in the outbox. */
export class Chat {
  readonly changed = new Signal();
  messages: ChatMessage[] = [];

  reset(wire: Wire[]): void {
    this.messages = wire.map(fromWire);
    this.changed.emit();
  }

  posted(event: RoomEvent): void {
    const message = fromWire({ at: event.at, actor: event.actor, ...event.data, id: event.id });
    if (this.messages.some((m) => m.id === message.id)) return;
    this.messages.push(message);
    if (this.messages.length > KEPT) this.messages.splice(0, this.messages.length - KEPT);
    this.changed.emit();
  }
}
