import type { ClientMessage, Command } from '../protocol';
import type { Pending } from './overlay';

/** Most changes that may wait at once, and most bytes of them (pictures included). Beyond either, edits are refused with a reason. */
export const OUTBOX_MAX_ENTRIES = 1000;
export const OUTBOX_MAX_BYTES = 96 * 1024 * 1024;
/** Most changes on their way to the server without an answer. */
export const IN_FLIGHT = 64;

export interface Entry extends Pending {
  /** Of the commands as JSON, UTF-8. */
  bytes: number;
  /** On its way over the present socket. */
  sent: boolean;
}

/** Where the outbox survives a reload. `nextSeq` is synchronous: a number must never be given twice, whenever the page dies. */
export interface OutboxStore {
  nextSeq(): number;
  save(entry: { seq: number; commands: Command[]; hints: Record<string, string>; bytes: number }): void;
  remove(seq: number): void;
}

/** Commands that the server has not answered, in order. Everything leaves it by an ack or a reject, never by time. */
export class Outbox {
  private entries: Entry[] = [];
  private totalBytes = 0;

  constructor(private store: OutboxStore, stored: readonly (Pending & { bytes: number })[] = []) {
    for (const old of [...stored].sort((a, b) => a.seq - b.seq)) this.push({ ...old, sent: false });
  }

  get size(): number {
    return this.entries.length;
  }

  get inFlight(): number {
    return this.entries.reduce((n, e) => (e.sent ? n + 1 : n), 0);
  }

  all(): readonly Entry[] {
    return this.entries;
  }

  get(seq: number): Entry | undefined {
    return this.entries.find((e) => e.seq === seq);
  }

  hasRoomFor(bytes: number): boolean {
    return this.entries.length < OUTBOX_MAX_ENTRIES && this.totalBytes + bytes <= OUTBOX_MAX_BYTES;
  }

  /** The caller has asked hasRoomFor. */
  add(commands: Command[], hints: Record<string, string>, bytes: number): Entry {
    const entry: Entry = { seq: this.store.nextSeq(), commands, hints, bytes, sent: false };
    this.push(entry);
    this.store.save({ seq: entry.seq, commands, hints, bytes });
    return entry;
  }

  /** Answered: by an ack, or by a reject that is final. */
  remove(seq: number): Entry | undefined {
    const index = this.entries.findIndex((e) => e.seq === seq);
    if (index < 0) return undefined;
    const [entry] = this.entries.splice(index, 1);
    this.totalBytes -= entry!.bytes;
    this.store.remove(seq);
    return entry;
  }

  /** The socket is gone, or the server asked to wait: what was on its way must be sent again, with the same numbers. */
  unsend(seq?: number): void {
    for (const entry of this.entries) if (seq === undefined || entry.seq === seq) entry.sent = false;
  }

  /** Next commands to send, in order, at most IN_FLIGHT without an answer. Marks them sent. */
  takeUnsent(): Entry[] {
    const room = IN_FLIGHT - this.inFlight;
    const next = this.entries.filter((e) => !e.sent).slice(0, Math.max(0, room));
    for (const entry of next) entry.sent = true;
    return next;
  }

  /** Moves everything to another store under new numbers (the person was replaced: the old person's numbers count no more). */
  moveTo(store: OutboxStore): Map<number, number> {
    const renumbered = new Map<number, number>();
    for (const entry of this.entries) {
      this.store.remove(entry.seq);
      const seq = store.nextSeq();
      renumbered.set(entry.seq, seq);
      entry.seq = seq;
      entry.sent = false;
      store.save({ seq, commands: entry.commands, hints: entry.hints, bytes: entry.bytes });
    }
    this.store = store;
    return renumbered;
  }

  private push(entry: Entry): void {
    this.entries.push(entry);
    this.totalBytes += entry.bytes;
  }
}

/** The frame that carries an entry; the same each time it is sent. */
export function frameOf(entry: Entry): ClientMessage {
  const [only] = entry.commands;
  if (entry.commands.length === 1 && only) return { type: 'command', seq: entry.seq, command: only.command, data: only.data };
  return { type: 'commands', seq: entry.seq, commands: entry.commands };
}
