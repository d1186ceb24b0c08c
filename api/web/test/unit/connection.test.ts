import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { Connection } from '../../src/sync/connection';

class FakeSocket {
  static OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 1;
  bufferedAmount = 0;
  sent: string[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: (event: { code: number; reason: string }) => void;
  closedWith: number | undefined;
  constructor(readonly url: string, readonly protocol: string) {
    FakeSocket.all.push(this);
  }
  send(data: string) {
    this.sent.push(data);
  }
  close(code: number) {
    this.closedWith = code;
  }
  says(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
  ends(code: number) {
    this.onclose?.({ code, reason: '' });
  }
}

const welcome = { type: 'welcome', user: {}, role: 'editor', session: 's', revision: 7, resume: 'replay' };
const newest = () => FakeSocket.all.at(-1)!;
let revision: number | undefined;
let reauthenticate: () => Promise<boolean>;
let connection: Connection;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', FakeSocket);
  vi.stubGlobal('window', new EventTarget());
  vi.stubGlobal('document', new EventTarget());
  FakeSocket.all = [];
  revision = undefined;
  reauthenticate = vi.fn(async () => true);
  connection = new Connection({ url: 'ws://x', client: () => 'c1', token: () => 't', resume: () => revision, reauthenticate: () => reauthenticate() });
  connection.start();
  newest().onopen?.();
});

afterEach(() => {
  connection.stop();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('says hello first, and is live from the welcome on', () => {
  expect(newest().protocol).toBe('kanvas.v1');
  expect(newest().sent.map((s) => JSON.parse(s))).toEqual([{ type: 'hello', token: 't', client: 'c1', assets: true }]);
  expect(connection.send({ type: 'ping', t: 1 })).toBe(false);
  newest().says(welcome);
  expect(connection.phase).toBe('live');
  expect(connection.send({ type: 'ping', t: 1 })).toBe(true);
});

it('comes back by itself where it was, and hands messages of a frame on in order', () => {
  newest().says(welcome);
  revision = 7;
  newest().ends(1006);
  expect(connection.phase).toBe('offline');
  vi.advanceTimersByTime(250);
  expect(FakeSocket.all).toHaveLength(2);
  newest().onopen?.();
  expect(JSON.parse(newest().sent[0]!)).toMatchObject({ resume: 7 });
  const seen: string[] = [];
  connection.messages.on((m) => seen.push(m.type));
  newest().says([welcome, { type: 'commit' }, { type: 'ack' }]);
  expect(seen).toEqual(['welcome', 'commit', 'ack']);
});

it.each([4403, 4404, 4409])('stops for good at %i and says why', (code) => {
  newest().says(welcome);
  newest().ends(code);
  expect(connection.phase).toBe('stopped');
  expect(connection.stopReason).toBeTruthy();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.all).toHaveLength(1);
});

it.each([1000, 1001, 1006, 4400, 4408, 4413, 4429, 4503, 4508])('comes back after %i', (code) => {
  newest().ends(code);
  vi.advanceTimersByTime(300);
  expect(FakeSocket.all).toHaveLength(2);
});

it('asks for another token at 4401 before it comes back', async () => {
  newest().ends(4401);
  expect(reauthenticate).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(300);
  expect(FakeSocket.all).toHaveLength(2);
});

it('gives a silent socket up', () => {
  newest().says(welcome);
  vi.advanceTimersByTime(20_000);
  expect(newest().sent.filter((s) => s.includes('ping'))).toHaveLength(2);
  expect(connection.phase).toBe('live');
  vi.advanceTimersByTime(10_000);
  expect(connection.phase).toBe('offline');
  vi.advanceTimersByTime(300);
  expect(FakeSocket.all).toHaveLength(2);
});

it('hears nothing from a socket that it gave up', () => {
  newest().says(welcome);
  const old = newest();
  connection.restart();
  const seen: string[] = [];
  connection.messages.on((m) => seen.push(m.type));
  old.says({ type: 'commit' });
  old.ends(1006);
  expect(seen).toEqual([]);
  expect(connection.phase).toBe('offline');
});

it('tries at once when the network is back', () => {
  for (let i = 0; i < 6; i++) {
    newest().ends(1006);
    vi.advanceTimersByTime(10_000);
  }
  newest().ends(1006);
  const before = FakeSocket.all.length;
  window.dispatchEvent(new Event('online'));
  expect(FakeSocket.all).toHaveLength(before + 1);
});
