import { describe, expect, it, vi } from 'vitest';
import type { Element } from '../../src/protocol';
import { parseClip } from '../../src/editor/clipboard';
import { copies } from '../../src/editor/editor';
import { bounds, hits, topmostAt } from '../../src/stage/geometry';
import { Smoother } from '../../src/stage/smoother';
import { Chat } from '../../src/sync/chat';
import { Presence } from '../../src/sync/presence';
import { Previews } from '../../src/sync/previews';
import { SnapshotParts } from '../../src/sync/snapshot';
import { Throttle } from '../../src/util/throttle';

vi.stubGlobal('matchMedia', () => ({ matches: false, addEventListener() {} }));

const rect = (id: string, more: Partial<Element> = {}): Element => ({ id, type: 'shape', shape: 'rect', x: 10, y: 20, width: 100, height: 50, ...more });

describe('geometry', () => {
  it('turns elements about their own (x, y)', () => {
    const box = bounds(rect('a', { rotation: 90 }));
    expect(Math.round(box.x)).toBe(-40);
    expect(Math.round(box.y)).toBe(20);
    expect(Math.round(box.width)).toBe(50);
    expect(Math.round(box.height)).toBe(100);
  });

  it('hits what is seen: turned boxes, round ellipses, thin lines', () => {
    expect(hits(rect('a', { rotation: 90 }), { x: -20, y: 100 }, 0)).toBe(true);
    expect(hits(rect('a', { rotation: 90 }), { x: 60, y: 30 }, 0)).toBe(false);
    expect(hits(rect('a', { shape: 'ellipse' }), { x: 12, y: 22 }, 0)).toBe(false);
    const line = rect('l', { shape: 'line', points: [[0, 0], [100, 0]] });
    expect(hits(line, { x: 60, y: 23 }, 4)).toBe(true);
    expect(hits(line, { x: 60, y: 40 }, 4)).toBe(false);
  });

  it('finds the topmost', () => {
    expect(topmostAt([rect('a'), rect('b'), rect('c', { x: 500 })], { x: 20, y: 30 }, 0)?.id).toBe('b');
  });
});

describe('previews', () => {
  const element = rect('a');

  it('lie over the element until the same person commits, leaves, or falls silent', () => {
    const previews = new Previews();
    previews.setRemote('s1', 'u1', 'a', { x: 1 }, 0);
    previews.setRemote('s1', 'u1', 'a', { y: 2 }, 1);
    expect(previews.over(element)).toMatchObject({ x: 1, y: 2 });
    previews.committed(['a'], 'u2', 2);
    expect(previews.isRemote('a')).toBe(true);
    previews.committed(['a'], 'u1', 3);
    expect(previews.over(element)).toBe(element);
    previews.setRemote('s1', 'u1', 'a', { x: 1 }, 1_000);
    previews.sessionLeft('s1');
    expect(previews.isRemote('a')).toBe(false);
    previews.setRemote('s1', 'u1', 'a', { x: 1 }, 1_000);
    previews.expire(9_000);
    expect(previews.isRemote('a')).toBe(true);
    previews.expire(9_001);
    expect(previews.isRemote('a')).toBe(false);
  });

  it('that come after the commit of their drag are late, not news', () => {
    const previews = new Previews();
    previews.committed(['a'], 'u1', 100);
    previews.setRemote('s1', 'u1', 'a', { x: 1 }, 130);
    expect(previews.isRemote('a')).toBe(false);
    previews.setRemote('s2', 'u2', 'a', { x: 2 }, 140);
    expect(previews.isRemote('a')).toBe(true);
    previews.committed(['a'], 'u2', 150);
    previews.setRemote('s1', 'u1', 'a', { x: 3 }, 400);
    expect(previews.over(element).x).toBe(3);
  });

  it('never change id or type', () => {
    const previews = new Previews();
    previews.setRemote('s1', 'u1', 'a', { id: 'b', type: 'image' });
    expect(previews.over(element)).toMatchObject({ id: 'a', type: 'shape' });
  });
});

it('a large snapshot is applied once its last part is there', () => {
  const parts = new SnapshotParts();
  expect(parts.add({ type: 'snapshot', revision: 9, elements: [rect('a')], chat: [{ id: '1' }], more: true, reset: true })).toBeUndefined();
  expect(parts.add({ type: 'snapshot', revision: 9, elements: [rect('b')] })).toMatchObject({ revision: 9, reset: true, elements: [{ id: 'a' }, { id: 'b' }], chat: [{ id: '1' }] });
  parts.add({ type: 'snapshot', revision: 9, elements: [rect('a')], more: true });
  parts.clear();
  expect(parts.add({ type: 'snapshot', revision: 10, elements: [] })?.elements).toEqual([]);
});

it('presence counts people, not sockets', () => {
  const presence = new Presence();
  const user = { id: 'u1', name: 'A', color: '#fff' };
  const left: string[] = [];
  presence.left.on((s) => left.push(s));
  presence.apply({ type: 'presence', online: [{ session: 's1', user, role: 'owner' }, { session: 's2', user }] });
  presence.apply({ type: 'presence', joined: [{ session: 's3', user: { ...user, id: 'u2' }, role: 'viewer' }], left: [] });
  expect(presence.people().map((p) => [p.id, p.sessions.length, p.role])).toEqual([['u1', 2, 'owner'], ['u2', 1, 'viewer']]);
  presence.setRole('u2', 'editor');
  expect(presence.people()[1]?.role).toBe('editor');
  presence.apply({ type: 'presence', left: [{ session: 's1' }, 's3'] });
  expect(presence.people().map((p) => p.id)).toEqual(['u1']);
  expect(left).toEqual(['s1', 's3']);
});

it('chat takes a message once, whether from the snapshot or the log', () => {
  const chat = new Chat();
  chat.reset([{ id: 'e1', user_id: 'u1', name: 'A', color: '#123456', text: 'hello', at: '2026-01-01T10:00:00Z' }]);
  const posted = { revision: 1, id: 'e1', type: 'chat.posted', at: '', actor: { id: 'u1', name: 'A' }, data: { text: 'hello' } };
  chat.posted(posted);
  chat.posted({ ...posted, id: 'e2', data: { text: 'again', user_id: 'u1', name: 'A', color: '#123456' } });
  expect(chat.messages.map((m) => [m.id, m.name, m.text])).toEqual([['e1', 'A', 'hello'], ['e2', 'A', 'again']]);
});

it('a smoothed element arrives, and turns the short way', () => {
  const smoother = new Smoother();
  const target = rect('a', { x: 110, rotation: 10 });
  smoother.start('a', rect('a', { rotation: 350 }));
  const half = smoother.step(target, 30);
  expect(half.x).toBeGreaterThan(10);
  expect(half.x).toBeLessThan(110);
  expect(half.rotation).toBeGreaterThan(-10);
  expect(half.rotation).toBeLessThan(10);
  for (let i = 0; i < 100; i++) smoother.step(target, 30);
  expect(smoother.active).toBe(false);
});

it('copies get new ids and keep everything but their place', () => {
  const [copy] = copies([rect('a', { z: 'V', weird: { deep: true } })], 5, 6);
  expect(copy).toMatchObject({ type: 'shape', x: 15, y: 26, weird: { deep: true } });
  expect(copy?.id).not.toBe('a');
  expect(copy).not.toHaveProperty('z');
});

it('only our own clipboard text is taken for elements', () => {
  expect(parseClip('{"kanvas":1,"room":"r","elements":[{"id":"a","type":"text"}]}')?.elements).toHaveLength(1);
  expect(parseClip('{"kanvas":1,"room":"r","elements":[{"id":7}]}')).toBeUndefined();
  expect(parseClip('{"kanvas":1,')).toBeUndefined();
  expect(parseClip('hello')).toBeUndefined();
});

it('a throttle sends the first at once, then the newest, and can be cut off', () => {
  vi.useFakeTimers();
  const sent: number[] = [];
  const throttle = new Throttle<number>(33, (n) => sent.push(n));
  for (const n of [1, 2, 3]) throttle.push(n);
  expect(sent).toEqual([1]);
  vi.advanceTimersByTime(33);
  expect(sent).toEqual([1, 3]);
  throttle.push(4);
  throttle.cancel();
  vi.advanceTimersByTime(100);
  expect(sent).toEqual([1, 3]);
  vi.useRealTimers();
});
