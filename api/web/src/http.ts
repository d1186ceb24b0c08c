import type { Role, Room, User, Visibility } from './protocol';

/** An answer that was no success: `code` is the server's stable code, or "offline" where none came. */
export class HttpError extends Error {
  constructor(readonly status: number, readonly code: string, detail: string) {
    super(detail);
  }
}

/** Milliseconds after which a request without an answer counts as failed. */
const TIMEOUT = 15_000;

export async function request<T>(method: string, path: string, options: { token?: string; body?: unknown } = {}): Promise<T> {
  const response = await send(method, path, options);
  return (await response.json()) as T;
}

export async function fetchBytes(path: string, token: string | undefined): Promise<Blob> {
  return (await send('GET', path, token === undefined ? {} : { token })).blob();
}

async function send(method: string, path: string, options: { token?: string; body?: unknown }): Promise<Response> {
  const headers: Record<string, string> = {};
  if (options.token !== undefined) headers['Authorization'] = `Bearer ${options.token}`;
  const init: RequestInit = { method, headers, signal: AbortSignal.timeout(TIMEOUT) };
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
    return new HttpError(response.status, body.code ?? 'internal', body.detail || body.title || fallback);
  } catch {
    return new HttpError(response.status, 'internal', fallback);
  }
}

export interface GuestAnswer {
  token: string;
  user: User;
  expires_at: string;
}

export interface MeAnswer extends Partial<GuestAnswer>, Partial<User> {}

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

/** The id is made here, so that the same request sent again finds the same room. */
export function createRoom(token: string, room: { id: string; name: string; visibility: Visibility }): Promise<Room> {
  return request('POST', '/v1/rooms', { token, body: room });
}
