import { discardAsset, HttpError } from '../http';
import type { Command, Element } from '../protocol';
import type { Bitmaps } from '../stage/bitmaps';
import { Backoff } from '../sync/backoff';
import { patched } from '../sync/overlay';
import type { Session } from '../sync/session';
import { Signal } from '../util/emitter';
import { tryLock } from '../util/locks';
import { forgetUpload, keepFile, keepUpload, storedFile, storedUploads, type StoredUpload } from './files';
import { transfer } from './transfer';

/** Files that are sent at once; the rest waits. */
const AT_ONCE = 3;
/** Tries in a row that fail, without a byte arriving and with the room at hand, before it is called failed. */
const TRIES = 6;
/** Milliseconds that a reloaded page waits for its former self to let go of an upload. */
const RELOAD_WAIT = 2_000;

/** What `src` a picture has while its file is only here. It is never sent to the server. */
export const localSrc = (id: string): string => `upload:${id}`;
export const isDraft = (element: Element): boolean => typeof element.src === 'string' && element.src.startsWith('upload:');

export interface Upload {
  readonly id: string;
  readonly name: string;
  readonly size: number;
  readonly sent: number;
  readonly phase: 'waiting' | 'sending' | 'checking' | 'failed';
  /** Why it waits or failed. */
  readonly problem: string | undefined;
}

interface Job extends Upload {
  sent: number;
  phase: Upload['phase'];
  problem: string | undefined;
  stored: StoredUpload;
  file: Blob;
  stop: AbortController;
  wake: (() => void) | undefined;
  release: () => void;
}

/**
 * Files on their way to the server. Each is shown at once as a draft: an element that exists in this tab alone and can be moved, resized and
 * removed; once its file is stored it becomes an element for everybody, in one change. What is under way survives a reload.
 */
export class Uploads {
  /** The state of the upload of an element, or that it is over. */
  readonly changed = new Signal<[string]>();
  private readonly jobs = new Map<string, Job>();
  private readonly waiting: Job[] = [];
  private active = 0;
  private kept = true;

  constructor(private readonly session: Session, private readonly bitmaps: Bitmaps) {
    session.intercept = (commands) => this.takeOver(commands);
    session.uploading = () => this.counts();
    session.connection.phases.on((phase) => phase === 'live' && this.wakeAll());
    const begin = () => {
      off();
      void this.resume();
    };
    const off = session.ready.on(begin);
    window.addEventListener('online', () => this.wakeAll(), { signal: session.ended.signal });
    window.addEventListener('beforeunload', (event) => this.jobs.size > 0 && !this.kept && event.preventDefault(), { signal: session.ended.signal });
    session.ended.signal.addEventListener('abort', () => this.stopAll());
  }

  get(id: string): Upload | undefined {
    return this.jobs.get(id);
  }

  all(): Upload[] {
    return [...this.jobs.values()];
  }

  /** Shows the element, whose `src` is localSrc of its id, and has the file sent. */
  async add(element: Element, file: Blob, name: string): Promise<void> {
    const stored: StoredUpload = { id: element.id, room: this.session.room.id, user: this.session.identity.user.id, name, type: file.type, element };
    const release = (await tryLock(lockOf(element.id))) ?? (() => undefined);
    this.begin(stored, file, release);
    try {
      await keepFile(stored, file);
      if (!this.jobs.has(element.id)) await forgetUpload(element.id);
    } catch (error) {
      this.kept = false;
      console.warn('kanvas: a file can not be kept across a reload', error);
    }
  }

  cancel(id: string): void {
    const job = this.jobs.get(id);
    if (!job) return;
    const { asset } = job.stored;
    this.end(job);
    if (asset !== undefined) void this.discard(asset);
  }

  retry(id: string): void {
    const job = this.jobs.get(id);
    if (job?.phase !== 'failed') return;
    job.stop = new AbortController();
    this.enqueue(job);
  }

  /** What closed tabs, and this one before a reload, left behind. */
  private async resume(): Promise<void> {
    let found: StoredUpload[];
    try {
      found = await storedUploads(this.session.identity.user.id, this.session.room.id);
    } catch {
      return; // nothing is kept here
    }
    for (const stored of found) {
      const release = await tryLock(lockOf(stored.id), RELOAD_WAIT);
      if (!release) continue; // another tab is at it
      const file = await storedFile(stored.id);
      if (file && !this.session.doc.get(stored.id) && !this.session.ended.signal.aborted) this.begin(stored, file, release);
      else {
        if (!this.session.ended.signal.aborted) await forgetUpload(stored.id);
        release();
      }
    }
  }

  private begin(stored: StoredUpload, file: Blob, release: () => void): void {
    const job: Job = {
      id: stored.id, name: stored.name, size: file.size, sent: 0, phase: 'waiting', problem: undefined,
      stored, file, release, stop: new AbortController(), wake: undefined,
    };
    this.jobs.set(stored.id, job);
    this.bitmaps.addLocal(localSrc(stored.id), file);
    this.session.doc.setDraft(stored.element);
    this.enqueue(job);
  }

  private enqueue(job: Job): void {
    this.tell(job, 'waiting', undefined);
    this.waiting.push(job);
    this.pump();
  }

  private pump(): void {
    while (this.active < AT_ONCE) {
      const job = this.waiting.shift();
      if (!job) return;
      this.active++;
      void this.run(job).finally(() => {
        this.active--;
        this.pump();
      });
    }
  }

  private async run(job: Job): Promise<void> {
    const backoff = new Backoff(Math.random, 500, 15_000);
    for (let failures = 0; !job.stop.signal.aborted; ) {
      const before = job.sent;
      try {
        const asset = await this.send(job);
        if (!job.stop.signal.aborted) this.finish(job, asset.id);
        return;
      } catch (error) {
        if (job.stop.signal.aborted) return;
        if (!(error instanceof HttpError)) return this.fail(job, error instanceof Error ? error.message : String(error));
        if (!error.temporary) return this.fail(job, error.message);
        failures = job.sent > before || this.session.connection.phase !== 'live' || error.status === 429 ? 0 : failures + 1;
        if (failures >= TRIES) return this.fail(job, error.message);
        this.tell(job, 'waiting', error.message);
        await this.pause(job, error.retryAfter ?? backoff.next());
      }
    }
  }

  private send(job: Job) {
    return transfer({
      file: job.file,
      name: job.stored.name,
      type: job.stored.type,
      room: job.stored.room,
      asset: job.stored.asset,
      token: () => this.session.identity.token,
      signal: job.stop.signal,
      begun: (asset) => {
        job.stored.asset = asset;
        this.keep(job);
      },
      progress: (sent) => {
        job.sent = sent;
        this.tell(job, 'sending', undefined);
      },
      checking: () => {
        job.sent = job.size;
        this.tell(job, 'checking', undefined);
      },
    });
  }

  /** The file is stored: the draft becomes everybody's. */
  private finish(job: Job, asset: string): void {
    const src = `/v1/assets/${asset}`;
    this.bitmaps.moveLocal(localSrc(job.id), src);
    const element: Element = { ...(this.session.doc.get(job.id) ?? job.stored.element), src };
    delete element.z;
    if (!this.session.submit([{ command: 'element.add', data: { element } }])) {
      this.bitmaps.moveLocal(src, localSrc(job.id));
      return this.fail(job, 'It is stored, and could not be put on the canvas');
    }
    this.end(job);
  }

  private fail(job: Job, problem: string): void {
    job.sent = 0;
    this.tell(job, 'failed', problem);
    this.session.notice.emit(`${job.name || 'The file'}: ${problem}`);
  }

  private end(job: Job): void {
    job.stop.abort();
    job.wake?.();
    const queued = this.waiting.indexOf(job);
    if (queued >= 0) this.waiting.splice(queued, 1);
    this.jobs.delete(job.id);
    this.session.doc.dropDraft(job.id);
    this.changed.emit(job.id);
    this.session.saver.tell();
    forgetUpload(job.id).catch(() => undefined).finally(job.release);
  }

  /** What was sent of a cancelled upload frees its place in the quota at once; where that can't be said now, the server frees it in a day. */
  private async discard(asset: string): Promise<void> {
    await discardAsset(this.session.identity.token, asset).catch(() => undefined);
  }

  private tell(job: Job, phase: Upload['phase'], problem: string | undefined): void {
    job.phase = phase;
    job.problem = problem;
    this.changed.emit(job.id);
    this.session.saver.tell();
  }

  private pause(job: Job, wait: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, wait);
      job.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  private wakeAll(): void {
    for (const job of this.jobs.values()) job.wake?.();
  }

  private stopAll(): void {
    for (const job of this.jobs.values()) {
      job.stop.abort();
      job.wake?.();
      job.release();
    }
  }

  private keep(job: Job): void {
    if (this.kept) keepUpload(job.stored).catch(() => (this.kept = false));
  }

  /** Changes of drafts are made here; what is left of the commands is the server's. */
  private takeOver(commands: Command[]): Command[] {
    if (this.jobs.size === 0) return commands;
    return commands.flatMap((command): Command[] => {
      if (command.command === 'element.patch') {
        const job = this.jobs.get(command.data.id);
        if (!job) return [command];
        this.change(job, patched(this.session.doc.get(job.id) ?? job.stored.element, command.data.set, command.data.unset));
        return [];
      }
      if (command.command !== 'element.remove' && command.command !== 'element.reorder') return [command];
      const ids = command.data.ids.filter((id) => !this.jobs.has(id));
      if (command.command === 'element.remove') for (const id of command.data.ids) this.cancel(id);
      return ids.length ? [{ ...command, data: { ...command.data, ids } } as Command] : [];
    });
  }

  private counts(): { sending: number; failed: number } {
    const failed = [...this.jobs.values()].filter((job) => job.phase === 'failed').length;
    return { sending: this.jobs.size - failed, failed };
  }

  private change(job: Job, element: Element): void {
    job.stored.element = element;
    this.session.doc.setDraft(element);
    this.keep(job);
  }
}

const lockOf = (id: string): string => `kanvas.upload.${id}`;
