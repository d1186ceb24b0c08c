// Paint order: base-62 keys compared bytewise, ties by element id.

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

interface Ordered {
  id: string;
  z?: string | undefined;
}

/** Keys and ids are ASCII, so comparing UTF-16 units compares bytes. Elements without a key are painted last: they are new. */
export function comparePaintOrder(a: Ordered, b: Ordered): number {
  const za = a.z ?? '~';
  const zb = b.z ?? '~';
  if (za !== zb) return za < zb ? -1 : 1;
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0;
}

const digitAt = (key: string, i: number): number => Math.max(0, DIGITS.indexOf(key[i] ?? '0'));

/**
 * A key between a and b ('' = no bound). Used for what is shown before the server's own key arrives, so it may repeat what others
 * chose; ties are broken by id. Where no key fits (b is a followed by zeros only) it returns a.
 */
export function keyBetween(a: string, b: string): string {
  if (b !== '' && a >= b) return a;
  let prefix = '';
  for (let i = 0; ; i++) {
    const low = i < a.length ? digitAt(a, i) : 0;
    const high = b === '' ? DIGITS.length : i < b.length ? digitAt(b, i) : 0;
    if (b !== '' && i >= b.length && i >= a.length) return a;
    if (low === high) {
      prefix += DIGITS[low];
      continue;
    }
    if (high - low > 1) return prefix + DIGITS[Math.floor((low + high) / 2)];
    prefix += DIGITS[low];
    return prefix + after(a.slice(i + 1));
  }
}

/** A short key above `rest`, unbounded from above. */
function after(rest: string): string {
  for (let i = 0; i < rest.length; i++) {
    const digit = digitAt(rest, i);
    if (digit < DIGITS.length - 1) return rest.slice(0, i) + DIGITS[Math.ceil((digit + DIGITS.length) / 2)];
  }
  return rest + DIGITS[Math.floor(DIGITS.length / 2)];
}

/** n rising keys between a and b. */
export function keysBetween(a: string, b: string, n: number): string[] {
  const keys: string[] = [];
  let low = a;
  for (let i = 0; i < n; i++) {
    low = keyBetween(low, b);
    keys.push(low);
  }
  return keys;
}
