import type { Element } from '../protocol';
import { decode } from '../stage/bitmaps';
import type { Point } from '../stage/geometry';
import { newId } from '../util/ids';
import type { Editor } from './editor';

/** Formats that the server stores. Anything else that the browser can draw (SVG, BMP, …) is sent as PNG. */
const STORED = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']);
const VIDEOS = new Set(['video/mp4', 'video/webm']);
/** Share of the screen that a new picture takes at most. */
const SHARE = 0.45;
/** Gap between pictures that were dropped together, in canvas units. */
const GAP = 24;
/** Room in a frame for what is not the picture, in bytes. */
const ENVELOPE = 4096;
/** Longest side of a downscaled picture tried first, in pixels; then ever smaller ones. */
const SIDES = [4096, 3072, 2048, 1536, 1024];

export interface Prepared {
  type: 'image' | 'video';
  src: string;
  width: number;
  height: number;
}

export const isMedia = (file: File): boolean => file.type.startsWith('image/') || VIDEOS.has(file.type);

/** Puts pictures and videos on the canvas, side by side around a point. */
export async function placeFiles(editor: Editor, files: readonly File[], at: Point): Promise<void> {
  const elements: Element[] = [];
  let x = at.x;
  for (const file of files) {
    try {
      const ready = await prepare(file, editor.session.saver.maxFrame - ENVELOPE, (text) => editor.session.notice.emit(text));
      if (ready.type === 'image') editor.scene.bitmaps.seed(ready.src, await decode(ready.src));
      const element = place(ready, { x, y: at.y }, editor);
      if (elements.length === 0 && files.length === 1) element.x = at.x - (element.width ?? 0) / 2;
      x += (element.width ?? 0) + GAP;
      elements.push(element);
    } catch (error) {
      editor.session.notice.emit(`${file.name || 'picture'}: ${error instanceof Error ? error.message : 'can not be read'}`);
    }
  }
  // One command each: together they might be more than a frame holds.
  const added = elements.filter((element) => editor.add([element], false));
  editor.setTool('select');
  editor.selection.set(added.map((e) => e.id));
}

function place(ready: Prepared, at: Point, editor: Editor): Element {
  const { viewport } = editor;
  const most = { width: (viewport.width * SHARE) / viewport.scale, height: (viewport.height * SHARE) / viewport.scale };
  const scale = Math.min(1, most.width / ready.width, most.height / ready.height);
  const [width, height] = [Math.round(ready.width * scale), Math.round(ready.height * scale)];
  return { id: newId(), type: ready.type, x: Math.round(at.x), y: Math.round(at.y - height / 2), width, height, rotation: 0, src: ready.src };
}

/**
 * A file as a data URL of at most `limit` bytes. Pictures that are larger are scaled down, and people are told; animated ones and
 * videos can't be, and are refused with the reason.
 */
export async function prepare(file: File, limit: number, tell: (text: string) => void): Promise<Prepared> {
  const fits = Math.ceil(file.size / 3) * 4 + 64 <= limit;
  const most = `${Math.floor((limit * 3) / 4 / 1048576)} MiB`;
  if (VIDEOS.has(file.type)) {
    if (!fits) throw new Error(`refused: a video may have at most ${most}`);
    return { type: 'video', src: await dataUrl(file), ...(await videoSize(file)) };
  }
  const image = await decodeFile(file);
  const size = { width: image.naturalWidth || 512, height: image.naturalHeight || 512 };
  if (fits && STORED.has(file.type)) return { type: 'image', src: await dataUrl(file), ...size };
  if (file.type === 'image/gif') throw new Error(`refused: an animation may have at most ${most}`);
  return rasterize(file, image, size, limit, tell);
}

async function rasterize(file: File, image: HTMLImageElement, size: { width: number; height: number }, limit: number, tell: (text: string) => void): Promise<Prepared> {
  const type = STORED.has(file.type) ? 'image/webp' : 'image/png';
  const natural = Math.max(size.width, size.height);
  for (const side of [natural, ...SIDES.filter((s) => s < natural)]) {
    const scale = side / natural;
    const [width, height] = [Math.max(1, Math.round(size.width * scale)), Math.max(1, Math.round(size.height * scale))];
    const blob = await draw(image, width, height, type);
    if (!blob || Math.ceil(blob.size / 3) * 4 + 64 > limit) continue;
    if (STORED.has(file.type)) tell(`${file.name || 'The picture'} was scaled down to ${width} × ${height} to fit what one message may hold`);
    return { type: 'image', src: await dataUrl(blob), ...size };
  }
  throw new Error('refused: too large, also when scaled down');
}

function draw(image: HTMLImageElement, width: number, height: number, type: string): Promise<Blob | null> {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  canvas.getContext('2d')?.drawImage(image, 0, 0, width, height);
  return new Promise((resolve) => canvas.toBlob(resolve, type, 0.9));
}

async function decodeFile(file: Blob): Promise<HTMLImageElement> {
  const url = URL.createObjectURL(file);
  try {
    return await decode(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

export function dataUrl(blob: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error ?? new Error('can not be read'));
    reader.readAsDataURL(blob);
  });
}

async function videoSize(file: Blob): Promise<{ width: number; height: number }> {
  const video = document.createElement('video');
  const url = URL.createObjectURL(file);
  try {
    await new Promise((resolve, reject) => {
      video.onloadedmetadata = resolve;
      video.onerror = () => reject(new Error('this video can not be played here'));
      video.src = url;
    });
    return { width: video.videoWidth || 640, height: video.videoHeight || 360 };
  } finally {
    URL.revokeObjectURL(url);
  }
}
