import { fetchBytes, HttpError } from '../http';
import { Signal } from '../util/emitter';
import { imageOf, levelFor, NATURAL, shrunk, sizeOf, VARIANTS, type Picture } from './levels';

/** Bytes of decoded pictures that are kept; beyond, those that were not needed for longest go first. What is on the screen stays. */
const BUDGET = 256 * 1024 * 1024;
/** Pictures that are loaded at once. */
const AT_ONCE = 6;
const RETRY_FIRST = 500;
const RETRY_MOST = 30_000;
/** Added to the distance of what is sharper than needed already: it is made smaller when nothing else is to do. */
const LATER = 1e9;

interface Shown {
  level: number;
  picture: Picture;
  bytes: number;
  /** Nothing sharper exists. */
  whole: boolean;
}

interface Slot {
  shown?: Shown;
  blur?: Picture;
  /** Of the newest pass that needed it: see `begin`. */
  pass: number;
  wanted: number;
  distance: number;
  loading: boolean;
  failed?: string;
  /** Trying again is no use. */
  final: boolean;
  retry?: ReturnType<typeof setTimeout>;
  tries: number;
}

/**
 * Decoded pictures by src, each about as sharp as it is shown: what is far out comes from the server's smaller pictures. Each frame says in a
 * pass (`begin`, `need`…, `end`) what it needs; a better picture takes the place of a worse one once it is decoded, never before. Assets are
 * fetched with the token, as a private room's pictures need it; what is freed comes back from the browser's cache.
 */
export class Bitmaps {
  /** Another picture can be drawn, or none will come. */
  readonly changed = new Signal();
  private slots = new Map<string, Slot>();
  private locals = new Map<string, Blob>();
  private pass = 0;
  private active = 0;
  private bytes = 0;
  private destroyed = false;
  /** Replaced or evicted: their memory is freed, and not when the browser comes to it, once the next frame draws others. */
  private worn: Picture[] = [];

  /** `placeholder` says how an asset looks before it is loaded, as a tiny data URL; `known` has that looked at again. */
  constructor(private readonly token: () => string, private readonly placeholder: (asset: string) => string | undefined) {}

  begin(): void {
    this.pass++;
  }

  /** Says that src is shown with `pixels` on its longer side (0: keep what there is), `distance` from the middle. */
  need(src: string, pixels: number, distance: number): void {
    const slot = this.slot(src);
    const level = pixels > 0 ? levelFor(pixels) : 0;
    if (slot.pass !== this.pass) Object.assign(slot, { pass: this.pass, wanted: level, distance });
    else Object.assign(slot, { wanted: Math.max(slot.wanted, level), distance: Math.min(slot.distance, distance) });
  }

  end(): void {
    for (const picture of this.worn.splice(0)) if ('close' in picture) picture.close(); // nobody draws it any more
    this.pump();
    this.evict();
  }

  /** The best there is to draw. Good until the next pass that does not need it. */
  picture(src: string): Picture | undefined {
    const slot = this.slots.get(src);
    return slot?.shown?.picture ?? slot?.blur;
  }

  /** Whether the picture itself is there, not just its blur. */
  has(src: string): boolean {
    return this.slots.get(src)?.shown !== undefined;
  }

  failure(src: string): string | undefined {
    return this.slots.get(src)?.failed;
  }

  /** For tests and people who look: how sharp a picture is held, and how much all of them take. */
  state(src: string): { level: number; pixels: number; blur: boolean } {
    const slot = this.slots.get(src);
    return { level: slot?.shown?.level ?? 0, pixels: slot?.shown ? sizeOf(slot.shown.picture).longest : 0, blur: slot?.blur !== undefined };
  }

  /** As many are loaded as can be at once. */
  get busy(): boolean {
    return this.active >= AT_ONCE;
  }

  get held(): { bytes: number; pictures: number; waiting: number } {
    let [pictures, waiting] = [0, 0];
    for (const slot of this.slots.values()) {
      if (slot.shown) pictures++;
      if (this.lacks(slot)) waiting++;
    }
    return { bytes: this.bytes, pictures, waiting };
  }

  /** The bytes behind src are here, under no address. */
  addLocal(src: string, file: Blob): void {
    this.locals.set(src, file);
  }

  isLocal(src: string): boolean {
    return this.locals.has(src);
  }

  /** What is here under one src is under another from now on, without being loaded again. */
  moveLocal(from: string, to: string): void {
    for (const map of [this.locals, this.slots] as Map<string, unknown>[]) {
      if (!map.has(from)) continue;
      map.set(to, map.get(from));
      map.delete(from);
    }
  }

  /** The bytes behind src: from here where they are, else from the server, the smaller ones where `size` pixels are enough. */
  async bytesOf(src: string, size = NATURAL): Promise<Blob> {
    const local = this.locals.get(src);
    if (local) return local;
    const path = assetPath(src);
    return fetchBytes(isAsset(src) && size <= VARIANTS ? `${path}?size=${size}` : path, this.token());
  }

  /** The placeholders of these assets are known now. */
  known(assets: readonly string[]): void {
    for (const asset of assets) {
      const src = `/v1/assets/${asset}`;
      const slot = this.slots.get(src);
      if (slot && !slot.shown) void this.blur(src, slot);
    }
  }

  /** After a reconnect: whatever failed for want of a server is asked for again at once. */
  retryAll(): void {
    for (const slot of this.slots.values()) {
      clearTimeout(slot.retry);
      delete slot.retry;
    }
    this.pump();
  }

  destroy(): void {
    this.destroyed = true;
    for (const slot of this.slots.values()) {
      clearTimeout(slot.retry);
      this.drop(slot);
    }
    this.slots.clear();
  }

  private slot(src: string): Slot {
    let slot = this.slots.get(src);
    if (!slot) {
      this.slots.set(src, (slot = { pass: 0, wanted: 0, distance: 0, loading: false, final: false, tries: 0 }));
      void this.blur(src, slot);
    }
    return slot;
  }

  private async blur(src: string, slot: Slot): Promise<void> {
    const placeholder = isAsset(src) ? this.placeholder(src.slice(src.lastIndexOf('/') + 1)) : undefined;
    if (placeholder === undefined || slot.blur) return;
    try {
      slot.blur = await imageOf(placeholder);
      this.changed.emit();
    } catch {
      // The picture itself is on its way.
    }
  }

  private lacks(slot: Slot): boolean {
    const { shown } = slot;
    if (slot.pass !== this.pass || slot.wanted === 0 || slot.final || slot.retry !== undefined) return false;
    if (!shown) return true;
    return shown.level < slot.wanted ? !shown.whole : shown.level > slot.wanted && sizeOf(shown.picture).longest > slot.wanted;
  }

  private pump(): void {
    while (this.active < AT_ONCE) {
      let next: [string, Slot] | undefined;
      let best = Infinity;
      for (const entry of this.slots) {
        const slot = entry[1];
        if (slot.loading || !this.lacks(slot)) continue;
        const distance = slot.shown && slot.shown.level > slot.wanted ? slot.distance + LATER : slot.distance;
        if (distance < best) [next, best] = [entry, distance];
      }
      if (!next) return;
      this.active++;
      void this.load(...next).finally(() => {
        this.active--;
        this.pump();
      });
    }
  }

  private async load(src: string, slot: Slot): Promise<void> {
    slot.loading = true;
    const level = slot.wanted;
    try {
      const loaded = isOurs(src) || this.isLocal(src) ? await shrunk(await this.bytesOf(src, Math.max(level, 256)), level) : { picture: await imageOf(src), whole: true };
      this.replace(slot, { level, bytes: sizeOf(loaded.picture).bytes, ...loaded });
      delete slot.failed;
      slot.tries = 0;
    } catch (error) {
      this.failed(slot, error);
    } finally {
      slot.loading = false;
    }
    this.changed.emit();
  }

  private replace(slot: Slot, shown: Shown): void {
    if (this.destroyed) return;
    this.drop(slot);
    slot.shown = shown;
    this.bytes += shown.bytes;
  }

  private drop(slot: Slot): void {
    if (!slot.shown) return;
    this.bytes -= slot.shown.bytes;
    this.worn.push(slot.shown.picture);
    delete slot.shown;
  }

  private failed(slot: Slot, error: unknown): void {
    slot.failed = error instanceof Error ? error.message : 'The picture can not be shown';
    clearTimeout(slot.retry);
    slot.final = !(error instanceof HttpError) || !(error.temporary || error.status === 404); // what is not found may be on its way
    if (slot.final || this.destroyed) return;
    slot.retry = setTimeout(() => {
      delete slot.retry;
      this.pump();
    }, Math.min(RETRY_MOST, RETRY_FIRST * 2 ** slot.tries++));
  }

  private evict(): void {
    if (this.bytes <= BUDGET) return;
    const idle = [...this.slots.values()].filter((s) => s.shown && s.pass !== this.pass).sort((a, b) => a.pass - b.pass);
    for (const slot of idle) {
      if (this.bytes <= BUDGET) return;
      this.drop(slot);
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
