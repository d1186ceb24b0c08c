import { describe, expect, it } from 'vitest';
import type { Command } from '../../src/protocol';
import { frameOf, IN_FLIGHT, Outbox, OUTBOX_MAX_BYTES, OUTBOX_MAX_ENTRIES, type OutboxStore } from '../../src/sync/outbox';

class MemoryStore implements OutboxStore {
  kept = new Map<number, { seq: number; commands: Command[]; hints: Record<string, string>; bytes: number }>();
  constructor(private last = 0) {}
  nextSeq() {
    return ++this.last;
  }
  save(entry: { seq: number; commands: Command[]; hints: Record<string, string>; bytes: number }) {
    this.kept.set(entry.seq, entry);
  }
  remove(seq: number) {
    this.kept.delete(seq);
  }
}

const chat = (text: string): Command => ({ command: 'chat.post', data: { text } });

describe('outbox', () => {
  it('sends in order and the same again, with the same numbers, after the socket was lost', () => {
    const outbox = new Outbox(new MemoryStore());
    for (const text of ['a', 'b', 'c']) outbox.add([chat(text)], {}, 10);
    const first = outbox.takeUnsent().map(frameOf);
    expect(outbox.takeUnsent()).toEqual([]);
    outbox.remove(1);
    outbox.unsend();
    expect(outbox.takeUnsent().map(frameOf)).toEqual(first.slice(1));
  });

  it('has at most IN_FLIGHT on the way', () => {
    const outbox = new Outbox(new MemoryStore());
    for (let i = 0; i < IN_FLIGHT + 5; i++) outbox.add([chat('x')], {}, 1);
    expect(outbox.takeUnsent()).toHaveLength(IN_FLIGHT);
    outbox.remove(1);
    expect(outbox.takeUnsent().map((e) => e.seq)).toEqual([IN_FLIGHT + 1]);
  });

  it('survives a reload: the same entries, and no number is given twice', () => {
    const store = new MemoryStore();
    const before = new Outbox(store);
    before.add([chat('a')], {}, 1);
    before.add([chat('b')], { x: 'V' }, 1);
    before.takeUnsent();
    const after = new Outbox(store, [...store.kept.values()].reverse());
    expect(after.takeUnsent().map((e) => [e.seq, e.commands, e.hints])).toEqual([[1, [chat('a')], {}], [2, [chat('b')], { x: 'V' }]]);
    expect(after.add([chat('c')], {}, 1).seq).toBe(3);
  });

  it('forgets what was answered, in the store too', () => {
    const store = new MemoryStore();
    const outbox = new Outbox(store);
    outbox.add([chat('a')], {}, 1);
    expect(outbox.remove(1)?.commands).toEqual([chat('a')]);
    expect(outbox.remove(1)).toBeUndefined();
    expect(store.kept.size).toBe(0);
    expect(outbox.size).toBe(0);
  });

  it('is full at its limits of entries and of bytes', () => {
    const many = new Outbox(new MemoryStore());
    for (let i = 0; i < OUTBOX_MAX_ENTRIES - 1; i++) many.add([chat('x')], {}, 1);
    expect(many.hasRoomFor(1)).toBe(true);
    many.add([chat('x')], {}, 1);
    expect(many.hasRoomFor(1)).toBe(false);
    const large = new Outbox(new MemoryStore());
    large.add([chat('x')], {}, OUTBOX_MAX_BYTES - 10);
    expect(large.hasRoomFor(10)).toBe(true);
    expect(large.hasRoomFor(11)).toBe(false);
    large.remove(1);
    expect(large.hasRoomFor(OUTBOX_MAX_BYTES)).toBe(true);
  });

  it('renumbers everything for a new person', () => {
    const outbox = new Outbox(new MemoryStore(40));
    outbox.add([chat('a')], {}, 1);
    outbox.add([chat('b')], {}, 1);
    outbox.takeUnsent();
    const next = new MemoryStore(7);
    outbox.moveTo(next);
    expect(outbox.takeUnsent().map((e) => e.seq)).toEqual([8, 9]);
    expect([...next.kept.keys()]).toEqual([8, 9]);
  });

  it('sends one command as a command and several as one list', () => {
    expect(frameOf({ seq: 1, commands: [chat('a')], hints: {}, bytes: 1, sent: false })).toEqual({ type: 'command', seq: 1, command: 'chat.post', data: { text: 'a' } });
    expect(frameOf({ seq: 2, commands: [chat('a'), chat('b')], hints: {}, bytes: 1, sent: false })).toEqual({ type: 'commands', seq: 2, commands: [chat('a'), chat('b')] });
  });
});
