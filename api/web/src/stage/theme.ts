// Colours of elements are stored as they are chosen. On a dark page near-black ink would be invisible, so it is drawn light.

const dark = matchMedia('(prefers-color-scheme: dark)');

export const isDark = (): boolean => dark.matches;

export function onThemeChange(listener: () => void): () => void {
  dark.addEventListener('change', listener);
  return () => dark.removeEventListener('change', listener);
}

/** Colour of ink that lies on the page itself. */
export function ink(color: string | undefined, fallback = '#1e1e24'): string {
  const chosen = color || fallback;
  if (!isDark()) return chosen;
  const match = /^#([0-9a-f]{6})$/i.exec(chosen) ?? (chosen === 'black' ? ['', '000000'] : null);
  if (!match) return chosen;
  const n = parseInt(match[1]!, 16);
  const [r, g, b] = [n >> 16, (n >> 8) & 255, n & 255];
  const [most, least] = [Math.max(r, g, b), Math.min(r, g, b)];
  return most < 90 && most - least < 40 ? '#ececf1' : chosen;
}
