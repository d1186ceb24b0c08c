import { describe, expect, it } from 'vitest';
import { comparePaintOrder, keyBetween, keysBetween } from '../../src/sync/zkey';

describe('paint order', () => {
  it('compares keys bytewise and ties by id', () => {
    const list = [{ id: 'b', z: 'V' }, { id: 'a', z: 'V' }, { id: 'c', z: 'a' }, { id: 'd', z: 'Z1' }, { id: 'e', z: 'V0' }, { id: 'f' }];
    expect([...list].sort(comparePaintOrder).map((e) => e.id)).toEqual(['a', 'b', 'e', 'd', 'c', 'f']);
  });

  it('finds a key between any two', () => {
    for (const [a, b] of [['', ''], ['V', ''], ['', 'V'], ['', '1'], ['A', 'B'], ['A', 'A1'], ['zz', ''], ['Az', 'B'], ['a', 'a01'], ['', '01']] as const) {
      const key = keyBetween(a, b);
      expect(key > a, `${key} > ${a}`).toBe(true);
      if (b) expect(key < b, `${key} < ${b}`).toBe(true);
    }
  });

  it('keeps finding keys in one gap', () => {
    const keys = keysBetween('V', 'W', 200);
    expect(new Set(keys).size).toBe(200);
    expect([...keys].sort()).toEqual(keys);
    expect(keys.every((k) => k > 'V' && k < 'W')).toBe(true);
  });

  it('ends where nothing fits', () => {
    expect(keyBetween('A', 'A')).toBe('A');
    expect(keyBetween('A', 'A0')).toBe('A');
  });
});
