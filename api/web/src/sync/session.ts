import type { Identity } from '../identity';
import { MAX_COMMANDS_PER_LIST, MAX_FRAME_BYTES, type ClientMessage, type Command, type Element, type Members, type Role, type Room, type RoomEvent, type ServerMessage } from '../protocol';
import { Signal } from '../util/emitter';
import { Throttle } from '../util/throttle';
import { Chat } from './chat';
import { Connection, socketUrl } from './connection';
import { CanvasDocument } from './document';
import { paintHints } from './hints';
import { drain } from './drain';
import { persistent } from './outbox-db';
import { frameOf, Outbox } from './outbox';
import { Presence } from './presence';
import { Previews } from './previews';
import { abandonedSlots, claimSlot, type Slot } from './slots';
import { SnapshotParts } from './snapshot';
import { statusOf, type Status } from './status';

/** Rejects that say "not now": the command stays in the outbox and is sent again after HOLD ms. */
const TEMPORARY = new Set(['rate_limited', 'read_only']);
const HOLD = 1_500;
/** 30 a second. */
const EPHEMERAL_INTERVAL = 33;
/** Elements whose drag others see live; of larger selections they see the end. */
const MAX_PREVIEWED = 200;
/** Cursors and previews are not worth sending behind this many bytes that still wait. */
const MAX_BUFFERED = 256 * 1024;

/** One room as this tab sees it: state, what waits to be saved, the people, and the socket under it all. */
export class Session {
  readonly doc = new CanvasDocument();
  readonly previews = new Previews();
  readonly presence = new Presence();
  readonly chat = new Chat();
  readonly connection: Connection;

  readonly statusChanged = new Signal<[Status]>();
  readonly roomChanged = new Signal<[Room]>();
  readonly roleChanged = new Signal<[Role]>();
  /** The first state of the room is there. */
  readonly ready = new Signal();
  readonly cursorMoved = new Signal<[string, { id: string; name: string; color: string } | undefined, { x: number; y: number } | undefined]>();
  /** Short news for people: refusals that need no pill, skipped changes. */
  readonly notice = new Signal<[string]>();

  room: Room;
  role: Role;
  sessionId = '';
  isReady = false;
  /** Revision of our newest ack, or the revision of the first state. */
  savedRevision = 0;

  private refusal: string | undefined;
  private held: string | undefined;
  private holdTimer: ReturnType<typeof setTimeout> | undefined;
  private acked = new Map<number, number>();
  private parts = new SnapshotParts();
  private maxFrame = MAX_FRAME_BYTES;
  private readonly cursor = new Throttle<{ x: number; y: number }>(EPHEMERAL_INTERVAL, (c) => this.ephemeral({ type: 'cursor', ...c }));
  private readonly preview = new Throttle<ReadonlyMap<string, Members>>(EPHEMERAL_INTERVAL, (sets) => this.sendPreview(sets));
  private readonly expiry: ReturnType<typeof setInterval>;
  private drained = false;

  private constructor(room: Room, readonly identity: Identity, private slot: Slot, readonly outbox: Outbox) {
    this.room = room;
    this.role = room.role ?? 'viewer';
    for (const entry of outbox.all()) this.doc.addPending(entry);
    this.connection = new Connection({
      url: socketUrl(room.id),
      client: () => this.slot.client,
      token: () => identity.token,
      resume: () => (this.isReady ? this.doc.revision : undefined),
      reauthenticate: () => this.reauthenticate(),
    });
    this.connection.messages.on((m) => this.receive(m));
    this.connection.phases.on((phase) => this.phaseChanged(phase));
    this.presence.left.on((session) => this.previews.sessionLeft(session));
    this.expiry = setInterval(() => this.previews.expire(), 2_000);
  }

  static async open(room: Room, identity: Identity): Promise<Session> {
    const slot = await claimSlot(identity.user.id, room.id);
    return new Session(room, identity, slot, new Outbox(slot, slot.waiting));
  }

  start(): void {
    this.connection.start();
  }

  close(): void {
    clearInterval(this.expiry);
    clearTimeout(this.holdTimer);
    this.cursor.cancel();
    this.preview.cancel();
    this.connection.stop();
    this.slot.release();
  }

  get client(): string {
    return this.slot.client;
  }

  /** False where a reload would lose what waits. */
  get persistent(): boolean {
    return persistent();
  }

  get canEdit(): boolean {
    return this.role === 'owner' || this.role === 'editor';
  }

  get canComment(): boolean {
    return this.role !== 'viewer';
  }

  get status(): Status {
    return statusOf({
      phase: this.connection.phase,
      waiting: this.outbox.size,
      saved: this.savedRevision,
      held: this.held,
      refused: this.refusal,
      stopped: this.connection.stopReason,
    });
  }

  /** An element as it is shown: with our pending changes and anybody's drag in progress. */
  shown(id: string): Element | undefined {
    const element = this.doc.get(id);
    return element && this.previews.over(element);
  }

  /**
   * Shows a change at once and has it saved: as one commit, all or nothing. Returns false where it was not accepted (no right, or the
   * outbox is full, or too large); the reason has been shown then.
   */
  submit(commands: Command[]): boolean {
    if (commands.length === 0) return true;
    if (commands.length > MAX_COMMANDS_PER_LIST) {
      const half = Math.ceil(commands.length / 2);
      return this.submit(commands.slice(0, half)) && this.submit(commands.slice(half));
    }
    const bytes = new TextEncoder().encode(JSON.stringify(commands)).length;
    const problem = this.problemWith(bytes);
    if (problem !== undefined) {
      this.notice.emit(problem);
      return false;
    }
    this.doc.addPending(this.outbox.add(commands, paintHints(commands, this.doc.elements()), bytes));
    this.pump();
    this.statusChanged.emit(this.status);
    return true;
  }

  /** Undo and redo are decided by the server: what others did since stays theirs. */
  step(command: 'undo' | 'redo'): void {
    if (this.connection.phase !== 'live') this.notice.emit(`You are offline: ${command} works again when you are back`);
    else this.submit([{ command, data: {} }]);
  }

  moveCursor(x: number, y: number): void {
    this.cursor.push({ x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 });
  }

  /** Shows values that are being dragged, here and at the others', without storing them. */
  showPreview(sets: ReadonlyMap<string, Members>): void {
    this.previews.setOwn(sets);
    if (sets.size <= MAX_PREVIEWED) this.preview.push(sets);
  }

  /** The drag is over: its result was submitted, or it was given up. */
  endPreview(): void {
    this.preview.cancel();
    this.previews.clearOwn();
  }

  dismissRefusal(): void {
    this.refusal = undefined;
    this.statusChanged.emit(this.status);
  }

  get maxFrameBytes(): number {
    return this.maxFrame;
  }

  private problemWith(bytes: number): string | undefined {
    if (this.connection.phase === 'stopped') return this.connection.stopReason ?? 'The room is closed';
    if (bytes > this.maxFrame - 1024) return `Too large to send: ${Math.ceil(bytes / 1048576)} MiB, the limit is ${Math.floor(this.maxFrame / 1048576)} MiB`;
    if (!this.outbox.hasRoomFor(bytes)) return `Too many changes wait to be saved (${this.outbox.size}): no more edits until the server has them`;
    return undefined;
  }

  private pump(): void {
    if (this.connection.phase !== 'live' || this.held !== undefined) return;
    for (const entry of this.outbox.takeUnsent()) this.connection.send(frameOf(entry));
  }

  private ephemeral(message: ClientMessage | ClientMessage[]): void {
    if (this.connection.buffered < MAX_BUFFERED) this.connection.send(message);
  }

  private sendPreview(sets: ReadonlyMap<string, Members>): void {
    this.ephemeral([...sets].map(([id, set]) => ({ type: 'preview', id, set })));
  }

  private phaseChanged(phase: string): void {
    if (phase !== 'live') {
      this.outbox.unsend();
      this.parts.clear();
      this.presence.clear();
    } else {
      this.pump();
      void this.identity.renew();
      if (!this.drained) void this.sendAbandoned();
    }
    this.statusChanged.emit(this.status);
  }

  private receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        this.sessionId = message.session;
        this.maxFrame = message.limits?.['frame_bytes'] ?? message.limits?.['max_frame_bytes'] ?? MAX_FRAME_BYTES;
        return this.setRole(message.role);
      case 'snapshot':
        return this.snapshot(message);
      case 'commit':
        return this.commit(message);
      case 'ack':
        return this.ack(message);
      case 'reject':
        return this.reject(message);
      case 'preview':
        if (message.session !== this.sessionId) this.previews.setRemote(message.session, this.presence.userOf(message.session)?.id, message.id, message.set);
        return;
      case 'ephemeral':
        return this.ephemeralFrom(message);
      case 'presence':
        return this.presence.apply(message);
      case 'role':
        return this.setRole(message.role);
      case 'pong':
        return;
      case 'error':
        console.error('kanvas: the server reports', message.code, message.detail);
        return;
    }
  }

  private snapshot(part: Extract<ServerMessage, { type: 'snapshot' }>): void {
    const whole = this.parts.add(part);
    if (!whole) return;
    if (whole.room) {
      this.room = { ...this.room, ...whole.room };
      this.roomChanged.emit(this.room);
    }
    this.doc.reset(whole.elements, whole.revision);
    this.chat.reset(whole.chat);
    this.presence.participants(whole.participants);
    this.settleAcked();
    if (!this.isReady) this.savedRevision = whole.revision;
    if (whole.reset) this.savedRevision = whole.revision;
    this.isReady = true;
    this.ready.emit();
    this.statusChanged.emit(this.status);
  }

  private commit(message: Extract<ServerMessage, { type: 'commit' }>): void {
    const before = this.doc.revision;
    const whole = this.doc.commit(message.first, message.last, message.events, (e) => this.ownSeq(e));
    if (!whole) return this.connection.restart();
    for (const event of message.events) if (event.revision > before) this.follow(event);
    this.settleAcked();
  }

  /** The number of our command that the event belongs to. */
  private ownSeq(event: RoomEvent): number | undefined {
    return event.client === this.slot.client && event.actor?.id === this.identity.user.id ? event.seq : undefined;
  }

  /** What an event means beside the elements. */
  private follow(event: RoomEvent): void {
    const data = event.data as { id?: string; ids?: string[]; user_id?: string; role?: Role };
    switch (event.type) {
      case 'element.patched':
      case 'element.removed':
        return this.previews.committed(data.ids ?? [data.id ?? ''], event.actor?.id);
      case 'chat.posted':
        return this.chat.posted(event);
      case 'room.updated':
        this.room = { ...this.room, ...(event.data as Partial<Room>) };
        return this.roomChanged.emit(this.room);
      case 'room.deleted':
        return this.connection.stop('This room was deleted');
      case 'participant.joined':
      case 'participant.role_changed':
        return data.user_id ? this.presence.setRole(data.user_id, data.role) : undefined;
      case 'participant.removed':
        return data.user_id ? this.presence.setRole(data.user_id, undefined) : undefined;
    }
  }

  private ack(message: Extract<ServerMessage, { type: 'ack' }>): void {
    const entry = this.outbox.remove(message.seq);
    if (!entry) return;
    this.savedRevision = Math.max(this.savedRevision, message.revision);
    this.acked.set(message.seq, message.revision);
    this.settleAcked();
    if (message.dropped?.length) this.notice.emit('Somebody removed what you were changing');
    this.pump();
    this.statusChanged.emit(this.status);
  }

  /** Takes changes off the overlay once the revision that holds them is here. */
  private settleAcked(): void {
    if (this.acked.size === 0) return;
    const settled = new Set([...this.acked].filter(([, revision]) => revision <= this.doc.revision).map(([seq]) => seq));
    if (settled.size === 0) return;
    for (const seq of settled) this.acked.delete(seq);
    this.doc.dropPending((p) => settled.has(p.seq));
  }

  private reject(message: Extract<ServerMessage, { type: 'reject' }>): void {
    if (TEMPORARY.has(message.code)) return this.hold(message);
    const entry = this.outbox.remove(message.seq);
    if (!entry) return;
    this.doc.dropPending((p) => p.seq === message.seq);
    if (message.code === 'nothing_to_undo') this.notice.emit(`Nothing to ${entry.commands[0]?.command ?? 'undo'}`);
    else this.refusal = message.detail || message.code;
    this.pump();
    this.statusChanged.emit(this.status);
  }

  private hold(message: Extract<ServerMessage, { type: 'reject' }>): void {
    this.outbox.unsend(message.seq);
    this.held = message.detail || message.code;
    clearTimeout(this.holdTimer);
    this.holdTimer = setTimeout(() => {
      this.held = undefined;
      this.pump();
      this.statusChanged.emit(this.status);
    }, HOLD);
    this.statusChanged.emit(this.status);
  }

  private ephemeralFrom(message: Extract<ServerMessage, { type: 'ephemeral' }>): void {
    if (message.session === this.sessionId || message.cursor === undefined) return;
    const user = typeof message.user === 'object' ? message.user : undefined;
    this.cursorMoved.emit(message.session, this.presence.userOf(message.session) ?? user, message.cursor ?? undefined);
  }

  private setRole(role: Role): void {
    if (role === this.role) return;
    this.role = role;
    this.roleChanged.emit(role);
  }

  private async reauthenticate(): Promise<boolean> {
    const before = this.identity.user.id;
    if (!(await this.identity.replace())) return false;
    if (this.identity.user.id !== before) await this.becomeSomebodyElse();
    return true;
  }

  /** The old person is gone for good: what waits is the new person's, under new numbers. */
  private async becomeSomebodyElse(): Promise<void> {
    const slot = await claimSlot(this.identity.user.id, this.room.id);
    this.doc.dropPending(() => true);
    this.acked.clear();
    this.outbox.moveTo(slot);
    for (const entry of this.outbox.all()) this.doc.addPending(entry);
    this.slot.release();
    this.slot = slot;
    this.notice.emit('The server no longer knew you: you are a new guest now');
  }

  /** Sends what tabs that were closed offline left behind, under their own client ids, so that nothing is done twice. */
  private async sendAbandoned(): Promise<void> {
    this.drained = true;
    for (const slot of await abandonedSlots(this.identity.user.id, this.room.id, this.slot.client)) drain(this, slot);
  }
}
