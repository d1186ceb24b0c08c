import { HttpError, request } from '../http';

/** An asset as the server tells of it. */
export interface Asset {
  id: string;
  status: string;
  width?: number;
  height?: number;
}

interface Plan {
  asset: Asset;
  upload: { method?: string; url?: string; headers?: Record<string, string>; part_size?: number; parts?: { number: number; url: string; etag?: string }[] };
}

export interface Transfer {
  file: Blob;
  name: string;
  type: string;
  room: string;
  /** Of an upload that was begun before. */
  asset?: string | undefined;
  token: () => string;
  signal: AbortSignal;
  /** The server has an id for it: from now on it can be resumed. */
  begun: (asset: string) => void;
  /** Bytes that are there or on their way. */
  progress: (sent: number) => void;
  /** Everything was sent and is being looked at. */
  checking: () => void;
}

/** Parts of one file that are sent at once: browsers open six connections to a server, and pictures need some. */
const PARTS_AT_ONCE = 3;
/** Milliseconds without a byte moving after which a connection counts as lost. */
const STALL = 45_000;
/** Milliseconds that the server may take to look at a large file. */
const LOOK = 300_000;
/** Bytes of a name that the server takes. */
const NAME = 200;

/** Sends a file as an asset, or goes on where it was cut. Throws an HttpError with the server's reason. */
export async function transfer(t: Transfer): Promise<Asset> {
  const plan = await begin(t);
  if (!plan) return complete(t, t.asset!, []);
  const { parts, part_size: size } = plan.upload;
  if (!parts || !size) {
    const put = { url: plan.upload.url!, body: t.file, headers: plan.upload.headers ?? {} };
    await send(put, t.signal, t.progress);
    return complete(t, plan.asset.id, []);
  }
  return complete(t, plan.asset.id, await sendParts(t, parts, size));
}

/** How the bytes get there; undefined where they all did. */
async function begin(t: Transfer): Promise<Plan | undefined> {
  if (t.asset !== undefined) {
    try {
      return await request<Plan>('GET', `/v1/assets/${encodeURIComponent(t.asset)}/upload`, { token: t.token(), signal: t.signal });
    } catch (error) {
      if (!(error instanceof HttpError) || (error.status !== 404 && error.status !== 409)) throw error;
      if (error.status === 409 && (await settled(t, t.asset))) return undefined;
    }
  }
  const body = { name: shortened(t.name), content_type: t.type, size: t.file.size, room_id: t.room };
  const plan = await request<Plan>('POST', '/v1/assets', { token: t.token(), body, signal: t.signal });
  t.begun(plan.asset.id);
  return plan;
}

/** Whether an upload that is over ended well: one that was given up for its age begins anew. */
async function settled(t: Transfer, asset: string): Promise<boolean> {
  try {
    await complete(t, asset, []);
    return true;
  } catch (error) {
    if (error instanceof HttpError && error.status >= 400 && error.status < 500 && error.status !== 429) return false;
    throw error;
  }
}

async function sendParts(t: Transfer, parts: { number: number; url: string; etag?: string }[], size: number): Promise<{ number: number; etag: string }[]> {
  const length = (number: number) => Math.min(size, t.file.size - (number - 1) * size);
  const moved = new Map<number, number>(parts.map((p) => [p.number, p.etag ? length(p.number) : 0]));
  const etags = new Map<number, string>(parts.flatMap((p) => (p.etag ? [[p.number, p.etag] as const] : [])));
  const tell = () => t.progress([...moved.values()].reduce((sum, n) => sum + n, 0));
  tell();
  const rest = parts.filter((p) => !p.etag);
  const stop = new AbortController();
  const signal = AbortSignal.any([t.signal, stop.signal]);
  const worker = async () => {
    for (let part = rest.shift(); part && !signal.aborted; part = rest.shift()) {
      const { number, url } = part;
      const start = (number - 1) * size;
      const etag = await send({ url, body: t.file.slice(start, start + length(number)), headers: {} }, signal, (sent) => {
        moved.set(number, sent);
        tell();
      });
      if (etag === null) throw new HttpError(0, 'internal', 'The store does not say what it got (its CORS rules hide the ETag).');
      etags.set(number, etag);
    }
  };
  try {
    await Promise.all(Array.from({ length: PARTS_AT_ONCE }, worker));
  } finally {
    stop.abort();
  }
  return [...etags].sort(([a], [b]) => a - b).map(([number, etag]) => ({ number, etag: etag.replaceAll('"', '') }));
}

function complete(t: Transfer, asset: string, parts: { number: number; etag: string }[]): Promise<Asset> {
  t.checking();
  const body = parts.length ? { parts } : {};
  return request<Asset>('POST', `/v1/assets/${encodeURIComponent(asset)}/complete`, { token: t.token(), body, signal: t.signal, timeout: LOOK });
}

/** PUTs bytes and returns the ETag of the answer. XMLHttpRequest, as fetch does not tell how far an upload is. */
function send(put: { url: string; body: Blob; headers: Record<string, string> }, signal: AbortSignal, progress: (sent: number) => void): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    let stall: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(stall);
      stall = setTimeout(() => xhr.abort(), STALL);
    };
    const abort = () => xhr.abort();
    const end = () => {
      clearTimeout(stall);
      signal.removeEventListener('abort', abort);
    };
    xhr.open('PUT', put.url);
    for (const [name, value] of Object.entries(put.headers)) xhr.setRequestHeader(name, value);
    xhr.upload.onprogress = (event) => {
      alive();
      progress(event.loaded);
    };
    xhr.onload = () => {
      end();
      if (xhr.status < 200 || xhr.status > 299) return reject(refused(xhr));
      progress(put.body.size);
      resolve(xhr.getResponseHeader('ETag'));
    };
    xhr.onerror = xhr.onabort = () => {
      end();
      reject(new HttpError(0, 'offline', 'The connection was lost.'));
    };
    if (signal.aborted) return reject(new HttpError(0, 'offline', 'Cancelled.'));
    signal.addEventListener('abort', abort);
    alive();
    xhr.send(put.body);
  });
}

function refused(xhr: XMLHttpRequest): HttpError {
  if (xhr.status === 403) return new HttpError(0, 'expired', 'The store takes the file no more at this address.'); // the next try asks for a fresh one
  try {
    const problem = JSON.parse(xhr.responseText) as { code?: string; detail?: string };
    return new HttpError(xhr.status, problem.code ?? 'internal', problem.detail ?? `The store answered ${xhr.status}.`);
  } catch {
    return new HttpError(xhr.status, 'internal', `The store answered ${xhr.status}.`); // S3 speaks XML
  }
}

function shortened(name: string): string {
  const clean = name.replace(/[/\\\p{Cc}]/gu, '-');
  return new TextEncoder().encode(clean).length <= NAME ? clean : [...clean].slice(-NAME / 4).join('');
}
