import { beforeEach, describe, expect, it } from 'vitest';
import type { Command, Element, RoomEvent } from '../../src/protocol';
import { CanvasDocument } from '../../src/sync/document';
import { paintHints } from '../../src/sync/hints';

const MINE = { client: 'me', user: 'u1' };
let doc: CanvasDocument;
let seq: number;

const element = (id: string, more: Partial<Element> = {}): Element => ({ id, type: 'shape', z: id, x: 0, y: 0, ...more });
const event = (revision: number, type: string, data: Record<string, unknown>, own?: number): RoomEvent => ({
  revision, id: `e${revision}`, type, at: '2026-01-01T00:00:00Z', actor: { id: own ? MINE.user : 'u2' }, data,
  ...(own ? { client: MINE.client, seq: own } : {}),
});
const settled = (e: RoomEvent) => (e.client === MINE.client && e.actor?.id === MINE.user ? e.seq : undefined);
const commit = (...events: RoomEvent[]) => doc.commit(events[0]!.revision, events.at(-1)!.revision, events, settled);
const submit = (...commands: Command[]) => {
  doc.addPending({ seq: ++seq, commands, hints: paintHints(commands, doc.elements()) });
  return seq;
};
const ids = () => doc.elements().map((e) => e.id);

beforeEach(() => {
  doc = new CanvasDocument();
  doc.reset([element('a'), element('b', { x: 1 }), element('c')], 10);
  seq = 0;
});

describe('what is shown', () => {
  it('is the own change at once, and still after somebody else changed the same', () => {
    const mine = submit({ command: 'element.patch', data: { id: 'b', set: { x: 5 } } });
    expect(doc.get('b')?.x).toBe(5);
    commit(event(11, 'element.patched', { id: 'b', set: { x: 9, fill: 'red' } }));
    expect(doc.get('b')).toMatchObject({ x: 5, fill: 'red' });
    commit(event(12, 'element.patched', { id: 'b', set: { x: 5 } }, mine));
    expect(doc.get('b')).toMatchObject({ x: 5, fill: 'red' });
    commit(event(13, 'element.patched', { id: 'b', set: { x: 7 } }));
    expect(doc.get('b')?.x).toBe(7);
  });

  it('goes back where a change was refused, others kept', () => {
    const refused = submit({ command: 'element.patch', data: { id: 'b', set: { x: 5 } } });
    submit({ command: 'element.patch', data: { id: 'b', set: { y: 6 } } });
    doc.dropPending((p) => p.seq === refused);
    expect(doc.get('b')).toMatchObject({ x: 1, y: 6 });
  });

  it('keeps unknown members and types', () => {
    commit(event(11, 'element.added', { element: element('q', { type: 'hologram', weird: { deep: [1] } }) }));
    commit(event(12, 'element.patched', { id: 'q', set: { x: 3 } }));
    expect(doc.get('q')).toMatchObject({ type: 'hologram', x: 3, weird: { deep: [1] } });
  });

  it('does not let a patch bring a removed element back', () => {
    submit({ command: 'element.patch', data: { id: 'b', set: { x: 5 } } });
    commit(event(11, 'element.removed', { ids: ['b'] }));
    expect(doc.get('b')).toBeUndefined();
    expect(ids()).toEqual(['a', 'c']);
  });

  it('unsets members, but never id and type', () => {
    commit(event(11, 'element.patched', { id: 'b', set: { type: 'evil', id: 'z' }, unset: ['x', 'type'] }));
    expect(doc.get('b')).toEqual({ id: 'b', type: 'shape', z: 'b', y: 0 });
  });
});

describe('revisions', () => {
  it('refuses a commit after a gap and applies nothing of it', () => {
    expect(commit(event(12, 'element.removed', { ids: ['a'] }))).toBe(false);
    expect(doc.revision).toBe(10);
    expect(ids()).toEqual(['a', 'b', 'c']);
  });

  it('skips what it has, as after a resume that overlaps', () => {
    commit(event(11, 'element.patched', { id: 'a', set: { x: 1 } }));
    commit(event(11, 'element.patched', { id: 'a', set: { x: 99 } }), event(12, 'element.patched', { id: 'a', set: { y: 2 } }));
    expect(doc.get('a')).toMatchObject({ x: 1, y: 2 });
    expect(doc.revision).toBe(12);
  });

  it('keeps pending changes over a new snapshot', () => {
    submit({ command: 'element.add', data: { element: { id: 'n', type: 'text', text: 'hi' } } });
    doc.reset([element('z')], 3);
    expect(ids()).toEqual(['z', 'n'].sort((x, y) => (doc.get(x)!.z! < doc.get(y)!.z! ? -1 : 1)));
    expect(doc.revision).toBe(3);
  });
});

describe('paint order of pending changes', () => {
  it('puts new elements on top and the server has the last word', () => {
    const mine = submit({ command: 'element.add', data: { element: { id: 'n', type: 'text' } } });
    expect(ids()).toEqual(['a', 'b', 'c', 'n']);
    commit(event(11, 'element.added', { element: element('n', { z: 'aV' }) }, mine));
    expect(ids()).toEqual(['a', 'n', 'b', 'c']);
  });

  it('moves several at once in their own order', () => {
    submit({ command: 'element.reorder', data: { ids: ['b', 'a'], to: 'front' } });
    expect(ids()).toEqual(['c', 'a', 'b']);
    submit({ command: 'element.reorder', data: { ids: ['b'], before: 'c' } });
    expect(ids()).toEqual(['b', 'c', 'a']);
    submit({ command: 'element.reorder', data: { ids: ['b'], after: 'c' } });
    expect(ids()).toEqual(['c', 'b', 'a']);
    submit({ command: 'element.reorder', data: { ids: ['a'], to: 'back' } });
    expect(ids()).toEqual(['a', 'c', 'b']);
  });
});

it('knows which changes are still to come', () => {
  const mine = submit({ command: 'chat.post', data: { text: 'hello' } });
  expect(doc.isPending(mine)).toBe(true);
  commit(event(11, 'chat.posted', { text: 'hello' }, mine));
  expect(doc.isPending(mine)).toBe(false);
});

it('tells exactly which elements may look different', () => {
  const seen: string[][] = [];
  doc.changed.on((changed) => seen.push([...changed].sort()));
  commit(event(11, 'element.patched', { id: 'a', set: { x: 1 } }), event(12, 'chat.posted', { text: 'x' }));
  submit({ command: 'element.remove', data: { ids: ['b', 'c'] } });
  expect(seen).toEqual([['a'], ['b', 'c']]);
});
