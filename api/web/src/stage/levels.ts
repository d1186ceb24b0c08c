// How sharp a picture is held: by steps, so that zooming does not load it again with every frame.

/** Pixels of the longer side. */
const STEPS = [64, 256, 1024, 2048, 4096];
/** As large as it is. */
export const NATURAL = Infinity;
/** Up to this the server has smaller pictures. */
export const VARIANTS = 1024;
/** What may be larger than a step and is not made smaller for it. */
const CLOSE = 1.1;

export type Picture = HTMLImageElement | ImageBitmap;

/** The step that shows so many pixels sharply. */
export const levelFor = (pixels: number): number => STEPS.find((step) => step * CLOSE >= pixels) ?? NATURAL;

export function sizeOf(picture: Picture): { width: number; height: number; longest: number; bytes: number } {
  const [width, height] = picture instanceof HTMLImageElement ? [picture.naturalWidth, picture.naturalHeight] : [picture.width, picture.height];
  return { width, height, longest: Math.max(width, height), bytes: width * height * 4 };
}

/** Decodes bytes, off this thread, into a picture of at most `level` pixels. `whole` says that nothing was left out. */
export async function shrunk(bytes: Blob, level: number): Promise<{ picture: Picture; whole: boolean }> {
  let full: ImageBitmap;
  try {
    full = await createImageBitmap(bytes);
  } catch {
    throw new Error('This picture can not be decoded');
  }
  const { width, height, longest } = sizeOf(full);
  if (longest <= level * CLOSE) return { picture: full, whole: level > VARIANTS || longest < Math.max(level, 256) * 0.99 };
  const scale = level / longest;
  const picture = await createImageBitmap(full, { resizeWidth: Math.max(1, Math.round(width * scale)), resizeHeight: Math.max(1, Math.round(height * scale)), resizeQuality: 'medium' });
  full.close();
  return { picture, whole: false };
}

/** Loads a picture by an address that the page may show: it stays as it is. */
export async function imageOf(url: string): Promise<HTMLImageElement> {
  const image = new Image();
  image.src = url;
  try {
    await image.decode();
  } catch {
    throw new Error('This picture can not be decoded');
  }
  return image;
}
