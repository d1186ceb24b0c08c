import type { Phase } from './connection';

export interface StatusInput {
  phase: Phase;
  /** Commands without an answer. */
  waiting: number;
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

/** What the pill says. "Saved" only where every command was answered and the room is live; a refusal stays until it is dismissed. */
export function statusOf(s: StatusInput): Status {
  if (s.stopped !== undefined) {
    return { kind: 'stopped', text: s.waiting ? `${s.stopped} – ${changes(s.waiting)} not saved` : s.stopped };
  }
  if (s.refused !== undefined) return { kind: 'refused', text: `refused: ${s.refused}` };
  if (s.phase === 'connecting') return { kind: 'connecting', text: s.waiting ? `connecting – ${changes(s.waiting)} waiting` : 'connecting…' };
  if (s.phase !== 'live') return { kind: 'offline', text: s.waiting ? `offline – ${changes(s.waiting)} waiting` : 'offline – edits will wait' };
  if (s.waiting > 0) return { kind: 'saving', text: s.held ? `not saved yet: ${s.held}` : 'saving…' };
  return { kind: 'saved', text: `saved to #${s.saved}` };
}
