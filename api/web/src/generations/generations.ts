import { HttpError } from '../http';
import type { Element, RoomEvent } from '../protocol';
import type { Session } from '../sync/session';
import { Signal } from '../util/emitter';
import { newId } from '../util/ids';
import { cancelMade, listModels, makeWish, type Model, type Wish } from './api';

/** What an element says of the generation that it waits for, or why there is no result. */
export interface Mark {
  id: string;
  status: 'queued' | 'failed' | 'unknown' | string;
  detail?: string;
}

export function markOf(element: Element): Mark | undefined {
  const mark = element['generation'];
  if (typeof mark !== 'object' || mark === null || Array.isArray(mark) || typeof mark['id'] !== 'string') return undefined;
  return { id: mark['id'], status: String(mark['status']), ...(typeof mark['detail'] === 'string' ? { detail: mark['detail'] } : {}) };
}

/** How far one that is under way has come: told live, and not stored. */
export interface Progress {
  status: string;
  position?: number | undefined;
}

/** Pictures and videos that are made in the room: what may be asked for, what is under way, and asking. */
export class Generations {
  /** What is offered has come. */
  readonly modelsChanged = new Signal();
  /** How a generation stands, by its id. */
  readonly progressed = new Signal<[string]>();
  /** A generation began or ended: lists are out of date. */
  readonly changed = new Signal();
  models: Model[] = [];
  private progress = new Map<string, Progress>();
  /** The wish that got no answer, and its key: the same one again must not be made twice. */
  private unanswered: { wish: string; key: string } | undefined;

  constructor(private readonly session: Session) {
    session.generationTold.on((id, progress) => this.note(id, progress));
    session.followed.on((event) => this.follow(event));
    session.connection.phases.on((phase) => phase === 'live' && this.models.length === 0 && void this.load());
  }

  progressOf(id: string): Progress | undefined {
    return this.progress.get(id);
  }

  /** Whether something may be asked for here. */
  get offered(): boolean {
    return this.models.length > 0 && this.session.canEdit;
  }

  /** Asks for it. Returns what was refused, or undefined: a placeholder stands in the room then. */
  async ask(wish: Wish): Promise<string | undefined> {
    const text = JSON.stringify(wish);
    if (this.unanswered?.wish !== text) this.unanswered = { wish: text, key: newId() };
    try {
      await makeWish(this.session.identity.token, this.session.room.id, wish, this.unanswered.key);
      this.unanswered = undefined;
      return undefined;
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      if (error.status !== 0) this.unanswered = undefined;
      return refusal(error);
    }
  }

  async retry(id: string): Promise<void> {
    const refusal = await this.ask({ retry_of: id });
    if (refusal !== undefined) this.session.notice.emit(refusal);
  }

  async cancel(id: string): Promise<void> {
    try {
      await cancelMade(this.session.identity.token, this.session.room.id, id);
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      this.session.notice.emit(error.message);
    }
  }

  private async load(): Promise<void> {
    try {
      this.models = (await listModels(this.session.identity.token)).models;
      this.modelsChanged.emit();
    } catch (error) {
      if (!(error instanceof HttpError)) throw error; // asked again after the next reconnect
    }
  }

  private note(id: string, progress: Progress): void {
    this.progress.set(id, progress);
    this.progressed.emit(id);
  }

  private follow(event: RoomEvent): void {
    if (!event.type.startsWith('generation.')) return;
    const id = String(event.data['id']);
    const status = event.type.slice('generation.'.length);
    if (status === 'succeeded' || status === 'failed' || status === 'canceled' || status === 'unknown') this.progress.delete(id);
    else this.progress.set(id, { status: status === 'started' ? 'running' : status });
    this.progressed.emit(id);
    this.changed.emit();
  }
}

/** Why nothing is made, for people. */
function refusal(error: HttpError): string {
  if (error.status !== 429 || error.retryAfter === undefined || !error.message.includes('Retry-After')) return error.message;
  const minutes = Math.ceil(error.retryAfter / 60_000);
  return `That is as much as you may have made now. Try again in ${minutes > 90 ? `${Math.round(minutes / 60)} hours` : minutes > 1 ? `${minutes} minutes` : 'a minute'}.`;
}
