import { request, send } from '../http';
import type { Members } from '../protocol';

export type Does = 'text_to_image' | 'restyle' | 'remove_background' | 'isolate' | 'text_to_video' | 'image_to_video';

export interface Model {
  model: string;
  name: string;
  does: Does;
  result: 'image' | 'video';
  /** The member of the input for the picture or video that it works on. */
  takes?: string;
  /** Whether it takes a prompt. */
  prompt: boolean;
  /** What a run may cost, in millionths of a US dollar. */
  estimate: number;
}

export interface Placement {
  element_id?: string;
  beside?: string;
  x?: number;
  y?: number;
  width?: number;
  height?: number;
}

export interface Wish {
  model?: string;
  prompt?: string;
  input?: Members;
  placement?: Placement;
  retry_of?: string;
}

/** One generation of the room, as the server's list tells of it. Money is in millionths of a US dollar. */
export interface Made {
  id: string;
  status: string;
  model: string;
  prompt: string;
  forgotten?: boolean;
  user: { id: string; name: string };
  element_id: string;
  estimate: number;
  cost?: number;
  detail?: string;
  requested_at: string;
}

const path = (room: string, id = '') => `/v1/rooms/${encodeURIComponent(room)}/generations${id && `/${encodeURIComponent(id)}`}`;

export const listModels = (token: string) => request<{ models: Model[] }>('GET', '/v1/models', { token });
/** `key` makes the same wish sent again the same generation. */
export const makeWish = (token: string, room: string, wish: Wish, key: string) => request<{ id: string }>('POST', path(room), { token, body: wish, key });
export const listMade = (token: string, room: string, cursor = '') =>
  request<{ generations: Made[]; next_cursor?: string }>('GET', `${path(room)}?limit=50${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, { token });

export async function cancelMade(token: string, room: string, id: string): Promise<void> {
  await send('DELETE', path(room, id), { token });
}
