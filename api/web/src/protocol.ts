// Types of the v1 protocol as this page uses it. Names and shapes are the wire's; members may be added by the server at any time,
// so nothing here is exhaustive, and what is unknown is kept.

export type Role = 'owner' | 'editor' | 'commenter' | 'viewer';
export type Visibility = 'public' | 'unlisted' | 'private';
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json | undefined };

export interface User {
  id: string;
  name: string;
  color: string;
}

/** An element as stored: unknown members and unknown types pass through untouched. */
export interface Element {
  id: string;
  type: string;
  /** Paint-order key: base-62, compared bytewise, ties by id. Absent only before the server gave one. */
  z?: string;
  x?: number;
  y?: number;
  width?: number;
  height?: number;
  /** Degrees clockwise about (x, y). */
  rotation?: number;
  src?: string;
  text?: string;
  fontSize?: number;
  fill?: string;
  stroke?: string;
  strokeWidth?: number;
  shape?: string;
  points?: [number, number][];
  [member: string]: Json | undefined;
}

export type Members = { [key: string]: Json | undefined };

export type Command =
  | { command: 'element.add'; data: { element: Element; before?: string } }
  | { command: 'element.patch'; data: { id: string; set?: Members; unset?: string[] } }
  | { command: 'element.remove'; data: { ids: string[] } }
  | { command: 'element.reorder'; data: { ids: string[]; before?: string; after?: string; to?: 'front' | 'back' } }
  | { command: 'chat.post'; data: { text: string } }
  | { command: 'room.update'; data: { name?: string; description?: string; visibility?: Visibility } }
  | { command: 'undo' | 'redo'; data: Record<string, never> };

export interface Room {
  id: string;
  name: string;
  description?: string;
  visibility: Visibility;
  default_role?: Role;
  owner_id?: string;
  created_at?: string;
  updated_at?: string;
  revision?: number;
  role?: Role;
  online?: number;
}

export interface RoomEvent {
  revision: number;
  id: string;
  type: string;
  at: string;
  actor?: { id: string; name?: string };
  client?: string;
  seq?: number;
  data: Record<string, unknown>;
}

export interface Participant {
  user_id?: string;
  id?: string;
  name?: string;
  color?: string;
  role: Role;
}

export interface Online {
  session: string;
  user: User;
  role?: Role;
}

/** How a picture looks before its bytes are loaded. */
export interface AssetInfo {
  width: number;
  height: number;
  /** A tiny picture as a data URL. */
  placeholder: string;
}

export type ServerMessage =
  | { type: 'welcome'; user: User; role: Role; session: string; revision: number; resume: 'snapshot' | 'replay'; limits?: Record<string, number> }
  | {
      type: 'snapshot';
      revision: number;
      room?: Room;
      elements?: Element[];
      chat?: Record<string, unknown>[];
      comments?: unknown[];
      participants?: Participant[];
      more?: boolean;
      reset?: boolean;
    }
  | { type: 'commit'; first: number; last: number; events: RoomEvent[] }
  | { type: 'ack'; seq: number; revision: number; dropped?: string[] }
  | { type: 'reject'; seq: number; code: string; detail?: string }
  | { type: 'preview'; session: string; id: string; set: Members }
  | { type: 'ephemeral'; session: string; user?: User | string; cursor?: { x: number; y: number } | null; viewport?: unknown }
  | { type: 'presence'; online?: Online[]; joined?: Online[]; left?: (Online | { session: string } | string)[] }
  | { type: 'assets'; assets: Record<string, AssetInfo> }
  | { type: 'generation'; id: string; status: string; position?: number }
  | { type: 'role'; role: Role }
  | { type: 'pong'; t: number; revision: number }
  | { type: 'error'; code: string; detail?: string };

export type ClientMessage =
  | { type: 'hello'; token: string; client: string; assets: true; resume?: number }
  | { type: 'command'; seq: number; command: string; data: unknown }
  | { type: 'commands'; seq: number; commands: Command[] }
  | { type: 'preview'; id: string; set: Members }
  | { type: 'cursor'; x: number; y: number }
  | { type: 'ping'; t: number };

/** Largest frame an editor may send, in bytes, where welcome.limits names none. */
export const MAX_FRAME_BYTES = 12 * 1024 * 1024;
/** Largest JSON of one element without its picture, in bytes. */
export const MAX_ELEMENT_BYTES = 64 * 1024;
/** Most commands in one all-or-nothing list. */
export const MAX_COMMANDS_PER_LIST = 2000;
export const MAX_CHAT_BYTES = 16 * 1024;
