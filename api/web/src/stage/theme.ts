// Colours of elements are stored as they are chosen. On a dark page near-black ink would be invisible, so it is drawn light.

const dark = matchMedia('(prefers-color-scheme: dark)');

export const isDark = (): boolean => dark.matches;

export function onThemeChange(listener: () => void): () => void {
  dark.addEventListener('change', listener);
  return () => dark.removeEventListener('change', listener);
}

function channels(color: string): [number, number, number] | undefined {
  const match = /^#([0-9a-f]{6})$/i.exec(color);
  if (!match) return undefined;
  const n = parseInt(match[1]!, 16);
  return [n >> 16, (n >> 8) & 255, n & 255];
}

/** Colour of ink that lies on the page itself, or on a shape's fill. */
export function ink(color: string | undefined, fallback = '#1e1e24'): string {
  const chosen = color || fallback;
  const rgb = isDark() ? channels(chosen) : undefined;
  if (!rgb) return chosen;
  const [most, least] = [Math.max(...rgb), Math.min(...rgb)];
  return most < 90 && most - least < 40 ? '#ececf1' : chosen;
}

/** Fill of a shape: pale fills are drawn dark on a dark page, as the ink on them is drawn light. */
export function fillOf(color: string | undefined): string | undefined {
  const rgb = isDark() && color ? channels(color) : undefined;
  if (!rgb || Math.min(...rgb) < 130) return color || undefined;
  // Away from white by the same amount as before from black, with the hue kept.
  const mean = (Math.max(...rgb) + Math.min(...rgb)) / 2;
  const [r, g, b] = rgb.map((c) => Math.round(Math.min(255, Math.max(0, 66 + (c - mean) * 0.9))));
  return `rgb(${r}, ${g}, ${b})`;
}
