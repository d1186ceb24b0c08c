import type { Role, Room, User, Visibility } from './protocol';
import type { Budget } from './util/amounts';

/** An answer that was no success: `code` is the server's stable code, or "offline" where none came; `retryAfter` in ms where it says so. */
export class HttpError extends Error {
  constructor(readonly status: number, readonly code: string, detail: string, readonly retryAfter?: number) {
    super(detail);
  }

  /** The same request may succeed later: no answer, too many, or a server in trouble. */
  get temporary(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** Milliseconds after which a request without an answer counts as failed; the body of a large file may take longer. */
const TIMEOUT = 15_000;
const BODY_TIMEOUT = 300_000;

interface Options {
  token?: string;
  body?: unknown;
  /** The same request under the same key is done once. */
  key?: string;
  /** Gives the request up; it fails as one without an answer. */
  signal?: AbortSignal;
  /** Milliseconds, where TIMEOUT is not enough. */
  timeout?: number;
}

export async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const response = await send(method, path, options);
  return (await response.json()) as T;
}

/** The bytes behind an address. Fails where no answer begins in time, or where it ends too late. */
export async function fetchBytes(path: string, token: string | undefined): Promise<Blob> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), TIMEOUT);
  const response = await send('GET', path, { signal: late.signal, timeout: BODY_TIMEOUT, ...(token === undefined ? {} : { token }) });
  clearTimeout(timer);
  try {
    return await response.blob();
  } catch {
    throw new HttpError(0, 'offline', 'The server does not answer.');
  }
}

export async function send(method: string, path: string, options: Options): Promise<Response> {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers['Authorization'] = `Bearer ${options.token}`;
  if (options.key !== undefined) headers['Idempotency-Key'] = options.key;
  const timeout = AbortSignal.timeout(options.timeout ?? TIMEOUT);
  const init: RequestInit = { method, headers, signal: options.signal ? AbortSignal.any([timeout, options.signal]) : timeout };
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch {
    throw new HttpError(0, 'offline', 'The server does not answer.');
  }
  if (!response.ok) throw await problem(response);
  return response;
}

async function problem(response: Response): Promise<HttpError> {
  const fallback = `The server answered ${response.status}.`;
  try {
    const body = (await response.json()) as { code?: string; detail?: string; title?: string };
    const wait = Number(response.headers.get('Retry-After'));
    return new HttpError(response.status, body.code ?? 'internal', body.detail || body.title || fallback, wait > 0 ? wait * 1000 : undefined);
  } catch {
    return new HttpError(response.status, 'internal', fallback);
  }
}

export interface GuestAnswer {
  token: string;
  user: User;
  expires_at: string;
}

export interface MeAnswer extends Partial<GuestAnswer>, Partial<User> {
  /** Bytes of pictures and videos. */
  storage?: { used: number; reserved: number; limit: number };
  budget?: Budget;
}

export const createGuest = (name: string) => request<GuestAnswer>('POST', '/v1/guests', { body: { name } });
export const getMe = (token: string) => request<MeAnswer>('GET', '/v1/me', { token });
export const getRoom = (token: string, id: string) => request<Room>('GET', `/v1/rooms/${encodeURIComponent(id)}`, { token });

export function listRooms(token: string | undefined, cursor = ''): Promise<{ rooms: Room[]; next_cursor?: string }> {
  const query = new URLSearchParams({ visibility: 'public', limit: '50' });
  if (cursor) query.set('cursor', cursor);
  return request('GET', `/v1/rooms?${query}`, token === undefined ? {} : { token });
}

export interface Invite {
  id: string;
  role: Role;
  expires_at?: string;
  uses?: number;
  used: number;
}

const invites = (room: string) => `/v1/rooms/${encodeURIComponent(room)}/invites`;

export const createInvite = (token: string, room: string, terms: { role: Role; uses?: number; expires_at?: string }) =>
  request<{ id: string; url: string; code: string }>('POST', invites(room), { token, body: terms });
export const revokePictureLinks = async (token: string, room: string): Promise<void> => {
  await send('POST', `/v1/rooms/${encodeURIComponent(room)}/rotate-key`, { token });
};
export const listInvites = (token: string, room: string) => request<{ invites: Invite[] }>('GET', invites(room), { token });
export const redeemInvite = (token: string, code: string) => request<Room>('POST', `/v1/invites/${encodeURIComponent(code)}`, { token });
export const claimGuest = (token: string, guest: string) => request<MeAnswer>('POST', '/v1/me/claim', { token, body: { token: guest } });

export async function revokeInvite(token: string, room: string, id: string): Promise<void> {
  await send('DELETE', `${invites(room)}/${encodeURIComponent(id)}`, { token });
}

export async function discardAsset(token: string, asset: string): Promise<void> {
  await send('DELETE', `/v1/assets/${encodeURIComponent(asset)}`, { token });
}

/** The id is made here, so that the same request sent again finds the same room. */
export function createRoom(token: string, room: { id: string; name: string; visibility: Visibility }): Promise<Room> {
  return request('POST', '/v1/rooms', { token, body: room });
}
