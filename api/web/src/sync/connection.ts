import type { ClientMessage, ServerMessage } from '../protocol';
import { Signal } from '../util/emitter';
import { Backoff } from './backoff';

export type Phase = 'connecting' | 'live' | 'offline' | 'stopped';

/** A ping every PING ms; a socket that was silent for SILENCE ms counts as dead, whatever the network says. */
const PING = 10_000;
const SILENCE = 25_000;

/** Closes after which coming back makes no sense, and what people are told. */
const FINAL: Record<number, string> = {
  4403: 'You no longer have a right to this room',
  4404: 'There is no such room',
  4409: 'This room was opened elsewhere with this tab’s identity',
};

export interface ConnectionOptions {
  url: string;
  client: () => string;
  token: () => string;
  /** Last revision seen, or undefined where nothing was received yet. */
  resume: () => number | undefined;
  /** The token was refused (4401): get another. False = could not ask now. */
  reauthenticate: () => Promise<boolean>;
}

export function socketUrl(room: string): string {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  return `${scheme}://${location.host}/v1/rooms/${encodeURIComponent(room)}/ws`;
}

/**
 * The socket of one room. It says hello, comes back by itself with growing, jittered pauses, and hands every message on in order.
 * `live` lasts from the server's welcome to the close of that socket.
 */
export class Connection {
  readonly messages = new Signal<[ServerMessage]>();
  readonly phases = new Signal<[Phase]>();
  phase: Phase = 'connecting';
  stopReason: string | undefined;

  private socket: WebSocket | undefined;
  private backoff = new Backoff();
  private retry: ReturnType<typeof setTimeout> | undefined;
  private pinger: ReturnType<typeof setInterval> | undefined;
  private heardAt = 0;
  private readonly wake = () => this.retryNow();
  private readonly visible = () => document.visibilityState === 'visible' && this.retryNow();

  constructor(private readonly options: ConnectionOptions) {}

  start(): void {
    window.addEventListener('online', this.wake);
    document.addEventListener('visibilitychange', this.visible);
    this.open();
  }

  /** Closes for good. */
  stop(reason?: string): void {
    window.removeEventListener('online', this.wake);
    document.removeEventListener('visibilitychange', this.visible);
    clearTimeout(this.retry);
    this.stopReason = reason;
    this.abandon(1000);
    this.setPhase('stopped');
  }

  /** Drops the socket and comes back at once: what we hold and what the server sends do not fit together. */
  restart(): void {
    this.abandon(1000);
    this.setPhase('offline');
    this.retry = setTimeout(() => this.open(), this.backoff.next());
  }

  /** Tries at once where a pause was running. */
  retryNow(): void {
    if (this.socket || this.phase === 'stopped' || this.retry === undefined) return;
    clearTimeout(this.retry);
    this.open();
  }

  /** False where there is no live socket; nothing is queued here. */
  send(message: ClientMessage | ClientMessage[]): boolean {
    if (this.phase !== 'live' || this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  /** Bytes that the browser has not given to the network yet. */
  get buffered(): number {
    return this.socket?.bufferedAmount ?? 0;
  }

  private open(): void {
    this.retry = undefined;
    const socket = new WebSocket(this.options.url, 'kanvas.v1');
    this.socket = socket;
    this.heardAt = Date.now();
    socket.onopen = () => this.hello(socket);
    socket.onmessage = (event) => this.receive(socket, event.data as string);
    socket.onclose = (event) => socket === this.socket && this.closed(event.code, event.reason);
    this.pinger = setInterval(() => this.checkAlive(), PING);
  }

  private hello(socket: WebSocket): void {
    const resume = this.options.resume();
    const hello: ClientMessage = { type: 'hello', token: this.options.token(), client: this.options.client(), assets: true };
    if (resume !== undefined) hello.resume = resume;
    socket.send(JSON.stringify(hello));
  }

  private receive(socket: WebSocket, data: string): void {
    if (socket !== this.socket) return;
    this.heardAt = Date.now();
    const parsed = JSON.parse(data) as ServerMessage | ServerMessage[];
    for (const message of Array.isArray(parsed) ? parsed : [parsed]) {
      if (socket !== this.socket) return; // a listener gave this socket up
      if (message.type === 'welcome') this.backoff.reset();
      this.messages.emit(message);
      if (message.type === 'welcome') this.setPhase('live');
    }
  }

  private checkAlive(): void {
    if (Date.now() - this.heardAt > SILENCE) this.restart();
    else this.send({ type: 'ping', t: Date.now() });
  }

  private closed(code: number, reason: string): void {
    this.forget();
    const final = FINAL[code];
    if (final !== undefined) return this.stop(final);
    if (code === 4400 && reason) console.error('kanvas: the server closed the socket:', reason);
    this.setPhase('offline');
    if (code === 4401) void this.reauthenticate();
    else this.schedule();
  }

  private async reauthenticate(): Promise<void> {
    await this.options.reauthenticate();
    if (this.phase !== 'stopped' && !this.socket) this.schedule();
  }

  private schedule(): void {
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), this.backoff.next());
  }

  private abandon(code: number): void {
    const socket = this.socket;
    this.forget();
    clearTimeout(this.retry);
    socket?.close(code);
  }

  private forget(): void {
    clearInterval(this.pinger);
    this.socket = undefined;
  }

  private setPhase(phase: Phase): void {
    if (this.phase === phase) return;
    this.phase = phase;
    this.phases.emit(phase);
  }
}
