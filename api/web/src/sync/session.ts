import type { Identity } from '../identity';
import { MAX_COMMANDS_PER_LIST, MAX_FRAME_BYTES, type AssetInfo, type ClientMessage, type Command, type Element, type Members, type Role, type Room, type RoomEvent, type ServerMessage, type User } from '../protocol';
import { Signal } from '../util/emitter';
import { Throttle } from '../util/throttle';
import { Chat } from './chat';
import { Connection, socketUrl } from './connection';
import { CanvasDocument } from './document';
import { drain } from './drain';
import { Outbox } from './outbox';
import { persistent } from './outbox-db';
import { Presence } from './presence';
import { Previews } from './previews';
import { Saver } from './saver';
import { abandonedSlots, claimSlot, type Slot } from './slots';
import { SnapshotParts } from './snapshot';
import type { Status } from './status';

/** Milliseconds that a left room is kept open at most, for what is still being saved. */
const LINGER = 10_000;
/** 30 a second. */
const EPHEMERAL_INTERVAL = 33;
/** Elements whose drag others see live; of larger selections they see the end. */
const MAX_PREVIEWED = 200;
/** Cursors and previews are not worth sending behind this many bytes that still wait. */
const MAX_BUFFERED = 256 * 1024;

/** One room as this tab sees it: state, what waits to be saved, the people, and the socket under it all. */
/** Why a step can not be taken back without a connection. */
export const offlineStep = (command: 'undo' | 'redo') => `You are offline: ${command} works again when you are back`;

export class Session {
  readonly doc = new CanvasDocument();
  readonly previews = new Previews();
  readonly presence = new Presence();
  readonly chat = new Chat();
  readonly connection: Connection;
  readonly saver: Saver;

  readonly statusChanged: Signal<[Status]>;
  /** Short news for people: refusals that need no pill, skipped changes. */
  readonly notice: Signal<[string]>;
  readonly roomChanged = new Signal<[Room]>();
  readonly roleChanged = new Signal<[Role]>();
  /** A whole state of the room has come. */
  readonly ready = new Signal();
  /** How a picture that is being made has come on, by its generation. */
  readonly generationTold = new Signal<[string, { status: string; position?: number | undefined }]>();
  /** An event that has just been applied, or was missed meanwhile. */
  readonly followed = new Signal<[RoomEvent]>();
  /** How pictures look before they are loaded, by asset. */
  readonly pictures = new Map<string, AssetInfo>();
  readonly picturesKnown = new Signal<[string[]]>();
  /** Session, its user where known, and where the cursor is; undefined = gone. */
  readonly cursorMoved = new Signal<[string, User | undefined, { x: number; y: number } | undefined]>();
  /** Aborted when the room is closed: takes listeners off that outlive it. */
  readonly ended = new AbortController();

  /** Takes changes out of a list that are not the server's business (those of drafts), before it is sent. */
  intercept: (commands: Command[]) => Command[] = (commands) => commands;
  /** How many files are on their way, and how many were given up. */
  uploading: () => { sending: number; failed: number } = () => ({ sending: 0, failed: 0 });

  role: Role;
  sessionId = '';
  isReady = false;

  private parts = new SnapshotParts();
  private readonly cursor = new Throttle<{ x: number; y: number }>(EPHEMERAL_INTERVAL, (c) => this.ephemeral({ type: 'cursor', ...c }));
  private readonly preview = new Throttle<ReadonlyMap<string, Members>>(EPHEMERAL_INTERVAL, (sets) => this.sendPreview(sets));
  private readonly expiry: ReturnType<typeof setInterval>;
  private drained = false;

  private constructor(public room: Room, readonly identity: Identity, private slot: Slot) {
    this.role = room.role ?? 'viewer';
    this.connection = new Connection({
      url: socketUrl(room.id),
      client: () => this.slot.client,
      token: () => identity.token,
      resume: () => (this.isReady ? this.doc.revision : undefined),
      reauthenticate: () => this.reauthenticate(),
    });
    this.saver = new Saver(this.doc, new Outbox(slot, slot.waiting), this.connection, () => this.uploading());
    this.statusChanged = this.saver.changed;
    this.notice = this.saver.notice;
    this.connection.messages.on((m) => this.receive(m));
    this.connection.phases.on((phase) => this.phaseChanged(phase));
    this.presence.left.on((session) => this.previews.sessionLeft(session));
    this.expiry = setInterval(() => this.previews.expire(), 2_000);
  }

  static async open(room: Room, identity: Identity): Promise<Session> {
    return new Session(room, identity, await claimSlot(identity.user.id, room.id));
  }

  start(): void {
    this.connection.start();
  }

  /**
   * People have left the page: closes once everything is saved, or after LINGER; what waits then waits in the browser. Files that are on their
   * way go on as long as there is a connection.
   */
  leave(): void {
    const sending = () => this.connection.phase === 'live' && this.uploading().sending > 0;
    if (this.connection.phase !== 'live' || (this.outbox.size === 0 && !sending())) return this.close();
    const timer = setInterval(() => !sending() && end(), LINGER);
    const off = this.statusChanged.on(() => this.outbox.size === 0 && !sending() && end());
    const end = () => {
      clearInterval(timer);
      off();
      if (this.connection.phase !== 'stopped') this.close();
    };
  }

  close(): void {
    this.ended.abort();
    clearInterval(this.expiry);
    this.saver.close();
    this.cursor.cancel();
    this.preview.cancel();
    this.connection.stop();
    this.slot.release();
  }

  get outbox(): Outbox {
    return this.saver.outbox;
  }

  get status(): Status {
    return this.saver.status;
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

  /** An element as it is shown: with our pending changes and anybody's drag in progress. */
  shown(id: string): Element | undefined {
    const element = this.doc.get(id);
    return element && this.previews.over(element);
  }

  /**
   * Shows a change at once and has it saved: as one commit, all or nothing (lists longer than the server takes become several).
   * Returns false where it was not accepted: the outbox is full, or it is too large; people have been told then.
   */
  submit(all: Command[]): boolean {
    const commands = this.intercept(all);
    if (commands.length <= MAX_COMMANDS_PER_LIST) return commands.length === 0 || this.saver.submit(commands);
    const half = Math.ceil(commands.length / 2);
    return this.submit(commands.slice(0, half)) && this.submit(commands.slice(half));
  }

  /** Undo and redo are decided by the server: what others did since stays theirs. */
  step(command: 'undo' | 'redo'): void {
    if (!this.canEdit) return;
    if (!this.online) this.notice.emit(offlineStep(command));
    else this.submit([{ command, data: {} }]);
  }

  /** Whether steps can be taken back now: what they come to is not known without the server. Told of by `connection.phases`. */
  get online(): boolean {
    return this.connection.phase === 'live';
  }

  moveCursor(x: number, y: number): void {
    this.cursor.push({ x: Math.round(x * 10) / 10, y: Math.round(y * 10) / 10 });
  }

  /** Shows values that are being dragged, here and at the others', without storing them. */
  showPreview(sets: ReadonlyMap<string, Members>): void {
    this.previews.setOwn(sets);
    const shared = new Map([...sets].filter(([id]) => !this.doc.isDraft(id)));
    if (this.canEdit && shared.size > 0 && shared.size <= MAX_PREVIEWED) this.preview.push(shared);
  }

  /** The drag is over: its result was submitted, or it was given up. */
  endPreview(): void {
    this.preview.cancel();
    this.previews.clearOwn();
  }

  private ephemeral(message: ClientMessage | ClientMessage[]): void {
    if (this.connection.buffered < MAX_BUFFERED) this.connection.send(message);
  }

  private sendPreview(sets: ReadonlyMap<string, Members>): void {
    this.ephemeral([...sets].map(([id, set]) => ({ type: 'preview', id, set })));
  }

  private phaseChanged(phase: string): void {
    if (phase !== 'live') {
      this.parts.clear();
      this.presence.clear();
      return;
    }
    void this.identity.renew();
    if (!this.drained) void this.sendAbandoned();
  }

  private receive(message: ServerMessage): void {
    switch (message.type) {
      case 'welcome':
        this.sessionId = message.session;
        this.saver.maxFrame = message.limits?.['frame_bytes'] ?? MAX_FRAME_BYTES;
        return this.setRole(message.role);
      case 'snapshot':
        return this.snapshot(message);
      case 'commit':
        return this.commit(message);
      case 'ack':
        return this.saver.ack(message);
      case 'reject':
        return this.saver.reject(message);
      case 'preview':
        if (message.session !== this.sessionId) this.previews.setRemote(message.session, this.presence.userOf(message.session)?.id, message.id, message.set);
        return;
      case 'ephemeral':
        return this.ephemeralFrom(message);
      case 'presence':
        return this.presence.apply(message);
      case 'generation':
        return this.generationTold.emit(message.id, { status: message.status, position: message.position });
      case 'assets':
        for (const [id, info] of Object.entries(message.assets)) this.pictures.set(id, info);
        return this.picturesKnown.emit(Object.keys(message.assets));
      case 'role':
        this.setRole(message.role);
        // The welcome named the limit of the role that we had then.
        if (this.canEdit) this.saver.maxFrame = Math.max(this.saver.maxFrame, MAX_FRAME_BYTES);
        return;
      case 'error':
        console.warn('kanvas: the server reports', message.code, message.detail);
        return;
    }
  }

  private snapshot(part: Extract<ServerMessage, { type: 'snapshot' }>): void {
    const whole = this.parts.add(part);
    if (!whole) return;
    if (whole.room) this.setRoom(whole.room);
    this.doc.reset(whole.elements, whole.revision);
    this.chat.reset(whole.chat);
    this.presence.participants(whole.participants);
    this.saver.arrived(whole.revision, !this.isReady, whole.reset);
    this.isReady = true;
    this.ready.emit();
  }

  private commit(message: Extract<ServerMessage, { type: 'commit' }>): void {
    const before = this.doc.revision;
    const whole = this.doc.commit(message.first, message.last, message.events, (e) => this.ownSeq(e));
    if (!whole) return this.connection.restart();
    for (const event of message.events) if (event.revision > before) this.follow(event);
    this.saver.settle();
  }

  /** The number of our command that the event belongs to. */
  private ownSeq(event: RoomEvent): number | undefined {
    return event.client === this.slot.client && event.actor?.id === this.identity.user.id ? event.seq : undefined;
  }

  /** What an event means beside the elements. */
  private follow(event: RoomEvent): void {
    this.followed.emit(event);
    const data = event.data as { id?: string; ids?: string[]; user_id?: string; role?: Role };
    switch (event.type) {
      case 'element.patched':
      case 'element.removed':
        return this.previews.committed(data.ids ?? [data.id ?? ''], event.actor?.id);
      case 'chat.posted':
        return this.chat.posted(event);
      case 'room.updated':
        return this.setRoom(event.data as Partial<Room>);
      case 'room.deleted':
        return this.connection.stop('This room was deleted');
      case 'participant.joined':
      case 'participant.role_changed':
        return data.user_id ? this.presence.setRole(data.user_id, data.role) : undefined;
      case 'participant.removed':
        return data.user_id ? this.presence.setRole(data.user_id, undefined) : undefined;
    }
  }

  private ephemeralFrom(message: Extract<ServerMessage, { type: 'ephemeral' }>): void {
    if (message.session === this.sessionId || message.cursor === undefined) return;
    const user = typeof message.user === 'object' ? message.user : undefined;
    this.cursorMoved.emit(message.session, this.presence.userOf(message.session) ?? user, message.cursor ?? undefined);
  }

  private setRoom(change: Partial<Room>): void {
    this.room = { ...this.room, ...change };
    this.roomChanged.emit(this.room);
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

  /** The old person is gone for good. */
  private async becomeSomebodyElse(): Promise<void> {
    const slot = await claimSlot(this.identity.user.id, this.room.id);
    this.saver.renumber(slot);
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
