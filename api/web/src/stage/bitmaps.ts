import { fetchBytes, HttpError } from '../http';
import { Signal } from '../util/emitter';

/** Pictures without a user that are kept for the case that they come back (undo, scrolling, the same picture again). */
const KEEP_UNUSED = 60;
const RETRY_FIRST = 500;
const RETRY_MOST = 30_000;

interface Slot {
  users: number;
  image?: HTMLImageElement;
  blobUrl?: string;
  failed?: string;
  retry?: ReturnType<typeof setTimeout>;
  tries: number;
}

/** Decoded pictures by src. Assets are fetched with the token (a private room's pictures need it) and kept as blobs. */
export class Bitmaps {
  /** A picture has come, or failed. */
  readonly changed = new Signal<[string]>();
  private slots = new Map<string, Slot>();

  constructor(private readonly token: () => string) {}

  /** Says that somebody shows src; loads it where needed. Each acquire needs a release. */
  acquire(src: string): void {
    const slot = this.slot(src);
    slot.users++;
    if (!slot.image && !slot.retry) void this.load(src, slot);
  }

  release(src: string): void {
    const slot = this.slots.get(src);
    if (!slot) return;
    slot.users--;
    if (slot.users <= 0) this.evict();
  }

  image(src: string): HTMLImageElement | undefined {
    return this.slots.get(src)?.image;
  }

  failure(src: string): string | undefined {
    return this.slots.get(src)?.failed;
  }

  /** The local picture of a data URL that is shown before the server has it. */
  seed(src: string, image: HTMLImageElement): void {
    this.slot(src).image = image;
  }

  /** After a reconnect: whatever failed for want of a server is asked for again at once. */
  retryAll(): void {
    for (const [src, slot] of this.slots) {
      if (slot.retry && slot.users > 0) void this.load(src, slot);
    }
  }

  destroy(): void {
    for (const slot of this.slots.values()) {
      clearTimeout(slot.retry);
      if (slot.blobUrl) URL.revokeObjectURL(slot.blobUrl);
    }
    this.slots.clear();
  }

  private slot(src: string): Slot {
    let slot = this.slots.get(src);
    if (!slot) this.slots.set(src, (slot = { users: 0, tries: 0 }));
    return slot;
  }

  private async load(src: string, slot: Slot): Promise<void> {
    clearTimeout(slot.retry);
    delete slot.retry;
    try {
      let url = src;
      if (isOurs(src)) {
        slot.blobUrl ??= URL.createObjectURL(await fetchBytes(assetPath(src), this.token()));
        url = slot.blobUrl;
      }
      slot.image = await decode(url);
      delete slot.failed;
    } catch (error) {
      this.failed(src, slot, error);
    }
    this.changed.emit(src);
  }

  private failed(src: string, slot: Slot, error: unknown): void {
    slot.failed = error instanceof Error ? error.message : 'The picture can not be shown';
    const final = !(error instanceof HttpError) || (error.status >= 400 && error.status < 500 && error.status !== 404 && error.status !== 429);
    if (final || slot.users <= 0) return;
    const wait = Math.min(RETRY_MOST, RETRY_FIRST * 2 ** slot.tries++);
    slot.retry = setTimeout(() => void this.load(src, slot), wait);
  }

  private evict(): void {
    let unused = [...this.slots].filter(([, s]) => s.users <= 0);
    for (const [src, slot] of unused.slice(0, Math.max(0, unused.length - KEEP_UNUSED))) {
      clearTimeout(slot.retry);
      if (slot.blobUrl) URL.revokeObjectURL(slot.blobUrl);
      this.slots.delete(src);
    }
  }
}

/** Where the bytes of a src of ours are. */
export const assetPath = (src: string): string => (src.startsWith('asset:') ? `/v1/assets/${encodeURIComponent(src.slice(6))}` : src);

/** Fetched with the token: anything of this server. Pictures elsewhere, and those that are their own URL, are loaded as they are. */
export function isOurs(src: string): boolean {
  if (isAsset(src)) return true;
  try {
    const url = new URL(src, location.href);
    return url.origin === location.origin && url.protocol.startsWith('http');
  } catch {
    return false;
  }
}

export const isAsset = (src: string): boolean => src.startsWith('asset:') || src.startsWith('/v1/assets/');

export async function decode(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error('This picture can not be decoded');
  }
  return image;
}
