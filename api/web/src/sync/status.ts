import type { Phase } from './connection';

export interface StatusInput {
  phase: Phase;
  /** Commands without an answer. */
  waiting: number;
  /** Files on their way, and those that were given up until somebody tries again. */
  uploads?: { sending: number; failed: number };
  /** Revision of the newest ack, or of the state that was received at first. */
  saved: number;
  /** Why the server asked to wait (it is read-only, or we are too fast). */
  held?: string | undefined;
  /** The newest refusal that nobody has dismissed. */
  refused?: string | undefined;
  /** Why the connection was given up for good. */
  stopped?: string | undefined;
}

export interface Status {
  kind: 'saved' | 'saving' | 'offline' | 'refused' | 'connecting' | 'stopped';
  text: string;
}

const changes = (n: number) => `${n} ${n === 1 ? 'change' : 'changes'}`;
const files = (n: number) => `${n} ${n === 1 ? 'file' : 'files'}`;

/** What the pill says. "Saved" only where every command was answered, every file is stored and the room is live; a refusal stays until it is dismissed. */
export function statusOf(s: StatusInput): Status {
  const { sending = 0, failed = 0 } = s.uploads ?? {};
  const open = [s.waiting && changes(s.waiting), sending + failed && files(sending + failed)].filter(Boolean).join(' and ');
  if (s.stopped !== undefined) return { kind: 'stopped', text: open ? `${s.stopped} – ${open} not saved` : s.stopped };
  if (s.refused !== undefined) return { kind: 'refused', text: `refused: ${s.refused}` };
  if (s.phase === 'connecting') return { kind: 'connecting', text: open ? `connecting – ${open} waiting` : 'connecting…' };
  if (s.phase !== 'live') return { kind: 'offline', text: open ? `offline – ${open} waiting` : 'offline – edits will wait' };
  if (s.waiting > 0) return { kind: 'saving', text: s.held ? `not saved yet: ${s.held}` : 'saving…' };
  if (sending > 0) return { kind: 'saving', text: `sending ${files(sending)}…` };
  if (failed > 0) return { kind: 'refused', text: `${files(failed)} not sent` };
  return { kind: 'saved', text: `saved to #${s.saved}` };
}
