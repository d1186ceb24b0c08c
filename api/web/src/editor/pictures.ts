import type { Element } from '../protocol';
import type { Point } from '../stage/geometry';
import { localSrc } from '../uploads/uploads';
import { newId } from '../util/ids';
import type { Editor } from './editor';

/** Formats that the server stores. Anything else that the browser can draw (SVG, BMP, …) is sent as PNG. */
const STORED = new Set(['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']);
const VIDEOS = new Set(['video/mp4', 'video/webm']);
/** Share of the screen that a new picture takes at most. */
const SHARE = 0.45;
/** Gap between pictures that were dropped together, in canvas units. */
const GAP = 24;
/** Longest side of what is drawn to be sent as PNG, in pixels. */
const DRAWN = 4096;

interface Prepared {
  type: 'image' | 'video';
  file: Blob;
  width: number;
  height: number;
}

export const isMedia = (file: File): boolean => file.type.startsWith('image/') || VIDEOS.has(file.type);

/** Puts pictures and videos on the canvas, side by side around a point; their files are sent from then on. */
export async function placeFiles(editor: Editor, files: readonly File[], at: Point): Promise<void> {
  if (!editor.canEdit) return editor.session.notice.emit('You may only look at this room');
  editor.setTool('select');
  const added: string[] = [];
  let x = at.x;
  for (const file of files) {
    try {
      const ready = await prepare(file);
      const element = place(ready, { x, y: at.y }, editor);
      if (files.length === 1) element.x = at.x - (element.width ?? 0) / 2;
      x += (element.width ?? 0) + GAP;
      await editor.uploads.add(element, ready.file, file.name);
      added.push(element.id);
    } catch (error) {
      editor.session.notice.emit(`${file.name || 'picture'}: ${error instanceof Error ? error.message : 'can not be read'}`);
    }
  }
  editor.selection.set(added);
}

function place(ready: Prepared, at: Point, editor: Editor): Element {
  const { viewport } = editor;
  const most = { width: (viewport.width * SHARE) / viewport.scale, height: (viewport.height * SHARE) / viewport.scale };
  const scale = Math.min(1, most.width / ready.width, most.height / ready.height);
  const [width, height] = [Math.max(1, Math.round(ready.width * scale)), Math.max(1, Math.round(ready.height * scale))];
  const id = newId();
  return { id, type: ready.type, x: Math.round(at.x), y: Math.round(at.y - height / 2), width, height, rotation: 0, src: localSrc(id) };
}

/** What is sent of a file, and its size in pixels. */
async function prepare(file: File): Promise<Prepared> {
  const url = URL.createObjectURL(file);
  try {
    if (VIDEOS.has(file.type)) return { type: 'video', file, ...(await videoSize(url)) };
    const image = await loaded(url);
    const size = { width: image.naturalWidth || 512, height: image.naturalHeight || 512 };
    return { type: 'image', file: STORED.has(file.type) ? file : await drawn(image, size), ...size };
  } finally {
    URL.revokeObjectURL(url);
  }
}

/** The picture's head is read; it is not decoded yet. */
function loaded(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  return new Promise((resolve, reject) => {
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error('This picture can not be decoded'));
    image.src = url;
  });
}

async function drawn(image: HTMLImageElement, size: { width: number; height: number }): Promise<Blob> {
  const scale = Math.min(1, DRAWN / Math.max(size.width, size.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(size.width * scale));
  canvas.height = Math.max(1, Math.round(size.height * scale));
  canvas.getContext('2d')?.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'));
  if (!blob) throw new Error('This picture can not be drawn');
  return blob;
}

async function videoSize(url: string): Promise<{ width: number; height: number }> {
  const video = document.createElement('video');
  await new Promise((resolve, reject) => {
    video.onloadedmetadata = resolve;
    video.onerror = () => reject(new Error('this video can not be played here'));
    video.src = url;
  });
  return { width: video.videoWidth || 640, height: video.videoHeight || 360 };
}
