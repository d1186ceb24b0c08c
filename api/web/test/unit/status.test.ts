import { expect, it } from 'vitest';
import { Backoff } from '../../src/sync/backoff';
import { statusOf, type StatusInput } from '../../src/sync/status';

const live: StatusInput = { phase: 'live', waiting: 0, saved: 41 };

it.each([
  [live, 'saved', 'saved to #41'],
  [{ ...live, waiting: 1 }, 'saving', 'saving…'],
  [{ ...live, waiting: 2, held: 'read-only' }, 'saving', 'not saved yet: read-only'],
  [{ ...live, phase: 'connecting' }, 'connecting', 'connecting…'],
  [{ ...live, phase: 'offline' }, 'offline', 'offline – edits will wait'],
  [{ ...live, phase: 'offline', waiting: 1 }, 'offline', 'offline – 1 change waiting'],
  [{ ...live, phase: 'offline', waiting: 3 }, 'offline', 'offline – 3 changes waiting'],
  [{ ...live, uploads: { sending: 2, failed: 1 } }, 'saving', 'sending 2 files…'],
  [{ ...live, uploads: { sending: 0, failed: 1 } }, 'refused', '1 file not sent'],
  [{ ...live, phase: 'offline', waiting: 1, uploads: { sending: 2, failed: 0 } }, 'offline', 'offline – 1 change and 2 files waiting'],
  [{ ...live, refused: 'no right' }, 'refused', 'refused: no right'],
  [{ ...live, phase: 'offline', waiting: 2, refused: 'no right' }, 'refused', 'refused: no right'],
  [{ ...live, phase: 'stopped', stopped: 'There is no such room', waiting: 2 }, 'stopped', 'There is no such room – 2 changes not saved'],
] as [StatusInput, string, string][])('%o says %s', (input, kind, text) => {
  expect(statusOf(input)).toEqual({ kind, text });
});

it('never says saved while anything waits or the room is not live', () => {
  for (const phase of ['connecting', 'live', 'offline', 'stopped'] as const) {
    for (const waiting of [0, 1]) {
      const { kind } = statusOf({ phase, waiting, saved: 5, ...(phase === 'stopped' ? { stopped: 'x' } : {}) });
      expect(kind === 'saved').toBe(phase === 'live' && waiting === 0);
    }
  }
});

it('waits ever longer between attempts, by chance within a half, up to a limit', () => {
  const least = new Backoff(() => 0, 100, 1000);
  const most = new Backoff(() => 1, 100, 1000);
  expect([1, 2, 3, 4, 5, 6].map(() => least.next())).toEqual([50, 100, 200, 400, 500, 500]);
  expect([1, 2, 3, 4, 5, 6].map(() => most.next())).toEqual([100, 200, 400, 800, 1000, 1000]);
  most.reset();
  expect(most.next()).toBe(100);
});
