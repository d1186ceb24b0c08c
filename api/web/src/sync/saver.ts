import { MAX_FRAME_BYTES, type Command, type ServerMessage } from '../protocol';
import { Signal } from '../util/emitter';
import type { Connection } from './connection';
import type { CanvasDocument } from './document';
import { paintHints } from './hints';
import { frameOf, type Outbox, type OutboxStore } from './outbox';
import type { Session } from './session';
import { statusOf, type Status } from './status';

/** Rejects that say "not now": the command stays in the outbox and is sent again after HOLD ms. */
const TEMPORARY = new Set(['rate_limited', 'read_only']);
const HOLD = 1_500;
/** Bytes of a frame that are not its commands, at most. */
const ENVELOPE = 1024;

/**
 * Gets changes saved: shows them at once, sends them in order, and follows each until the server has answered it. Knows, and tells,
 * what is saved and what is not.
 */
export class Saver {
  readonly changed = new Signal<[Status]>();
  /** Short news for people. */
  readonly notice = new Signal<[string]>();
  /** Revision of our newest ack, or the revision of the first state. */
  savedRevision = 0;
  /** Bytes of the largest frame that the server takes from us. */
  maxFrame = MAX_FRAME_BYTES;

  private refusal: string | undefined;
  private held: string | undefined;
  private holdTimer: ReturnType<typeof setTimeout> | undefined;
  /** Revisions of acks whose events have not come yet, by number. */
  private acked = new Map<number, number>();

  /** `uploading` says how many files are on their way, and how many were given up. */
  constructor(private readonly doc: CanvasDocument, readonly outbox: Outbox, private readonly connection: Connection, private readonly uploading: Session['uploading'] = () => ({ sending: 0, failed: 0 })) {
    for (const entry of outbox.all()) doc.addPending(entry);
    connection.phases.on((phase) => {
      if (phase === 'live') this.pump();
      else outbox.unsend();
      this.tell();
    });
  }

  get status(): Status {
    return statusOf({
      phase: this.connection.phase,
      waiting: this.outbox.size,
      uploads: this.uploading(),
      saved: this.savedRevision,
      held: this.held,
      refused: this.refusal,
      stopped: this.connection.stopReason,
    });
  }

  /** False where the change was not accepted; people have been told why. */
  submit(commands: Command[]): boolean {
    const bytes = new TextEncoder().encode(JSON.stringify(commands)).length;
    const problem = this.problemWith(bytes);
    if (problem !== undefined) {
      this.notice.emit(problem);
      return false;
    }
    this.doc.addPending(this.outbox.add(commands, paintHints(commands, this.doc.elements()), bytes));
    this.pump();
    this.tell();
    return true;
  }

  /** The newest refusal that nobody has dismissed. */
  get refused(): string | undefined {
    return this.refusal;
  }

  dismissRefusal(): void {
    this.refusal = undefined;
    this.tell();
  }

  ack(message: Extract<ServerMessage, { type: 'ack' }>): void {
    const entry = this.outbox.remove(message.seq);
    if (!entry) return;
    this.savedRevision = Math.max(this.savedRevision, message.revision);
    this.acked.set(message.seq, message.revision);
    this.settle();
    if (message.dropped?.length) this.notice.emit('Somebody removed what you were changing');
    this.pump();
    this.tell();
  }

  reject(message: Extract<ServerMessage, { type: 'reject' }>): void {
    if (TEMPORARY.has(message.code)) return this.hold(message);
    const entry = this.outbox.remove(message.seq);
    if (!entry) return;
    this.doc.dropPending((p) => p.seq === message.seq);
    if (message.code === 'nothing_to_undo') this.notice.emit(`Nothing to ${entry.commands[0]?.command ?? 'undo'}`);
    else this.refusal = message.detail || message.code;
    this.pump();
    this.tell();
  }

  /** Takes changes off the overlay once the revision that holds them is here. */
  settle(): void {
    if (this.acked.size === 0) return;
    const settled = new Set([...this.acked].filter(([, revision]) => revision <= this.doc.revision).map(([seq]) => seq));
    if (settled.size === 0) return;
    for (const seq of settled) this.acked.delete(seq);
    this.doc.dropPending((p) => settled.has(p.seq));
  }

  /** The first state of the room has come, at this revision; or, with `reset`, one that is older than what we saw. */
  arrived(revision: number, first: boolean, reset: boolean): void {
    if (reset && !first) this.forgetAcked();
    if (first || reset) this.savedRevision = revision;
    this.settle();
    this.tell();
  }

  /** We are somebody else now: what waits is the new person's, under new numbers. */
  renumber(store: OutboxStore): void {
    this.doc.dropPending(() => true);
    this.acked.clear();
    this.outbox.moveTo(store);
    for (const entry of this.outbox.all()) this.doc.addPending(entry);
  }

  close(): void {
    clearTimeout(this.holdTimer);
  }

  tell(): void {
    this.changed.emit(this.status);
  }

  private pump(): void {
    if (this.connection.phase !== 'live' || this.held !== undefined) return;
    for (const entry of this.outbox.takeUnsent()) {
      if (entry.bytes <= this.maxFrame - ENVELOPE) this.connection.send(frameOf(entry));
      else this.reject({ type: 'reject', seq: entry.seq, code: 'too_large', detail: this.tooLarge(entry.bytes) });
    }
  }

  private hold(message: Extract<ServerMessage, { type: 'reject' }>): void {
    this.outbox.unsend(message.seq);
    this.held = message.detail || message.code;
    clearTimeout(this.holdTimer);
    this.holdTimer = setTimeout(() => {
      this.held = undefined;
      this.pump();
      this.tell();
    }, HOLD);
    this.tell();
  }

  private problemWith(bytes: number): string | undefined {
    if (this.connection.phase === 'stopped') return this.connection.stopReason ?? 'The room is closed';
    if (bytes > this.maxFrame - ENVELOPE) return `That is ${this.tooLarge(bytes)}`;
    if (!this.outbox.hasRoomFor(bytes)) return `Too many changes wait to be saved (${this.outbox.size}): no more edits until the server has them`;
    return undefined;
  }

  private tooLarge(bytes: number): string {
    return `too large to send (${Math.ceil(bytes / 1024)} KiB, at most ${Math.floor(this.maxFrame / 1024)} KiB)`;
  }

  /** The server's log is shorter than what we saw: what it acknowledged past its head is gone, and must not be shown on. */
  private forgetAcked(): void {
    const lost = new Set(this.acked.keys());
    this.acked.clear();
    this.doc.dropPending((p) => lost.has(p.seq));
    this.notice.emit('The server came back with an older state of this room');
  }
}
