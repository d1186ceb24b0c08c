import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ClientMessage, Command, RoomEvent } from '../../src/protocol';
import type { Connection, Phase } from '../../src/sync/connection';
import { CanvasDocument } from '../../src/sync/document';
import { Outbox } from '../../src/sync/outbox';
import { Saver } from '../../src/sync/saver';
import { Signal } from '../../src/util/emitter';

/** The part of a connection that saving needs; what is sent is kept. */
class Wire {
  phases = new Signal<[Phase]>();
  phase: Phase = 'connecting';
  stopReason: string | undefined;
  sent: ClientMessage[] = [];
  send(message: ClientMessage) {
    this.sent.push(message);
    return true;
  }
  become(phase: Phase) {
    this.phase = phase;
    this.phases.emit(phase);
  }
}

let wire: Wire;
let doc: CanvasDocument;
let saver: Saver;
let news: string[];
let seq: number;

const move = (x: number): Command => ({ command: 'element.patch', data: { id: 'a', set: { x } } });
const seqs = () => wire.sent.map((m) => ('seq' in m ? m.seq : 0));
const committed = (revision: number, x: number): RoomEvent => ({ revision, id: `e${revision}`, type: 'element.patched', at: '', client: 'me', seq: 1, data: { id: 'a', set: { x } } });

beforeEach(() => {
  vi.useFakeTimers();
  wire = new Wire();
  doc = new CanvasDocument();
  doc.reset([{ id: 'a', type: 'shape', z: 'V', x: 0 }], 5);
  seq = 0;
  saver = new Saver(doc, new Outbox({ nextSeq: () => ++seq, save() {}, remove() {} }), wire as unknown as Connection);
  news = [];
  saver.notice.on((text) => news.push(text));
  saver.arrived(5, true, false);
});

afterEach(() => vi.useRealTimers());

it('is saved only when every command was answered', () => {
  wire.become('live');
  expect(saver.status.text).toBe('saved to #5');
  saver.submit([move(1)]);
  saver.submit([move(2)]);
  expect(saver.status.kind).toBe('saving');
  saver.ack({ type: 'ack', seq: 1, revision: 6 });
  expect(saver.status.kind).toBe('saving');
  saver.ack({ type: 'ack', seq: 2, revision: 7 });
  expect(saver.status.text).toBe('saved to #7');
});

it('keeps a change on screen between its ack and the revision that holds it', () => {
  wire.become('live');
  saver.submit([move(1)]);
  saver.ack({ type: 'ack', seq: 1, revision: 6 });
  expect(doc.get('a')?.x).toBe(1);
  doc.commit(6, 6, [committed(6, 1)], () => undefined);
  saver.settle();
  doc.commit(7, 7, [committed(7, 9)], () => undefined);
  expect(doc.get('a')?.x).toBe(9);
});

it('keeps changes while offline and sends all that was not answered, in order, when it is back', () => {
  wire.become('live');
  saver.submit([move(1)]);
  saver.submit([move(2)]);
  saver.ack({ type: 'ack', seq: 1, revision: 6 });
  wire.become('offline');
  saver.submit([move(3)]);
  expect(saver.status.text).toBe('offline – 2 changes waiting');
  wire.sent = [];
  wire.become('live');
  expect(seqs()).toEqual([2, 3]);
});

it('rolls a refused change back and says why until it is dismissed', () => {
  wire.become('live');
  saver.submit([move(1)]);
  saver.reject({ type: 'reject', seq: 1, code: 'forbidden', detail: 'viewers may not edit' });
  expect(doc.get('a')?.x).toBe(0);
  saver.submit([move(2)]);
  saver.ack({ type: 'ack', seq: 2, revision: 6 });
  expect(saver.status.text).toBe('refused: viewers may not edit');
  saver.dismissRefusal();
  expect(saver.status.text).toBe('saved to #6');
});

it('sends again what was refused for now, and does not call it saved', () => {
  wire.become('live');
  saver.submit([move(1)]);
  saver.reject({ type: 'reject', seq: 1, code: 'read_only', detail: 'the disk is full' });
  expect(saver.status.text).toBe('not saved yet: the disk is full');
  expect(doc.get('a')?.x).toBe(1);
  wire.sent = [];
  vi.advanceTimersByTime(1_500);
  expect(seqs()).toEqual([1]);
  saver.ack({ type: 'ack', seq: 1, revision: 6 });
  expect(saver.status.kind).toBe('saved');
});

it('takes nothing to undo for news, not for a refusal', () => {
  wire.become('live');
  saver.submit([{ command: 'undo', data: {} }]);
  saver.reject({ type: 'reject', seq: 1, code: 'nothing_to_undo' });
  expect(news).toEqual(['Nothing to undo']);
  expect(saver.status.kind).toBe('saved');
});

it('refuses what is larger than a frame, also where the limit shrank while it waited', () => {
  const large: Command = { command: 'element.patch', data: { id: 'a', set: { text: 'x'.repeat(70_000) } } };
  wire.become('live');
  saver.maxFrame = 65_536;
  expect(saver.submit([large])).toBe(false);
  expect(news[0]).toMatch(/too large to send \(69 KiB, at most 64 KiB\)/);
  wire.become('offline');
  saver.maxFrame = 1_000_000;
  expect(saver.submit([large])).toBe(true);
  saver.maxFrame = 65_536;
  wire.become('live');
  expect(wire.sent).toEqual([]);
  expect(saver.status.kind).toBe('refused');
  expect(doc.get('a')?.text).toBeUndefined();
});

it('stops taking edits when the outbox is full, and says so', () => {
  let taken = 0;
  while (saver.submit([move(taken)])) taken++;
  expect(taken).toBe(1000);
  expect(news.at(-1)).toMatch(/Too many changes wait/);
});

it('shows an older state as it is when the server lost what it had acknowledged', () => {
  wire.become('live');
  saver.submit([move(1)]);
  saver.submit([move(2)]);
  saver.ack({ type: 'ack', seq: 1, revision: 6 });
  doc.reset([{ id: 'a', type: 'shape', z: 'V', x: 0 }], 3);
  saver.arrived(3, false, true);
  saver.reject({ type: 'reject', seq: 2, code: 'conflict' });
  expect(doc.get('a')?.x).toBe(0);
  expect(saver.savedRevision).toBe(3);
});
