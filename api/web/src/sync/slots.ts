import type { Command } from '../protocol';
import { newId } from '../util/ids';
import { tryLock } from '../util/locks';
import { deleteEntry, loadEntries, putEntry, type StoredEntry } from './outbox-db';
import type { OutboxStore } from './outbox';

// A slot is a client id of the protocol with its outbox and its last number. Each open tab holds one under a lock, so that two tabs
// never share numbers; the next tab to open the room takes a free slot over, with whatever a closed tab left in it.

/** Milliseconds that a reloaded page waits for its former self to let go of the slot. */
const RELOAD_WAIT = 2000;

export interface Slot extends OutboxStore {
  client: string;
  waiting: StoredEntry[];
  release(): void;
}

const seqPrefix = (user: string, room: string) => `kanvas.seq.${user}.${room}.`;

function knownClients(user: string, room: string): string[] {
  const prefix = seqPrefix(user, room);
  const found: string[] = [];
  for (let i = 0; i < localStorage.length; i++) {
    const key = localStorage.key(i);
    if (key?.startsWith(prefix)) found.push(key.slice(prefix.length));
  }
  return found;
}

async function open(user: string, room: string, client: string, wait = 0): Promise<Slot | undefined> {
  const release = await tryLock(`kanvas.client.${client}`, wait);
  if (!release) return undefined;
  const key = seqPrefix(user, room) + client;
  const waiting = await loadEntries(room, client);
  const stored = () => Number(localStorage.getItem(key)) || 0;
  // Kept here too: a storage that is emptied meanwhile must not make numbers start again.
  let last = Math.max(stored(), ...waiting.map((e) => e.seq));
  localStorage.setItem(key, String(last));
  return {
    client,
    waiting,
    release,
    nextSeq() {
      last = Math.max(last, stored()) + 1;
      localStorage.setItem(key, String(last));
      return last;
    },
    save: (entry: { seq: number; commands: Command[]; hints: Record<string, string>; bytes: number }) =>
      void putEntry({ room, client, ...entry }),
    remove: (seq: number) => void deleteEntry(room, client, seq),
  };
}

/** The slot of this tab: the one it had before a reload, else a free one (those with waiting changes first), else a new one. */
export async function claimSlot(user: string, room: string): Promise<Slot> {
  const mine = `kanvas.tab.${user}.${room}`;
  const before = sessionStorage.getItem(mine);
  const known = knownClients(user, room);
  let slot = before && known.includes(before) ? await open(user, room, before, navigator.locks ? RELOAD_WAIT : 0) : undefined;
  if (!slot && navigator.locks) slot = await claimFree(user, room, known.filter((c) => c !== before));
  slot ??= (await open(user, room, newId()))!;
  sessionStorage.setItem(mine, slot.client);
  return slot;
}

async function claimFree(user: string, room: string, clients: string[]): Promise<Slot | undefined> {
  let empty: Slot | undefined;
  for (const client of clients) {
    const slot = await open(user, room, client);
    if (!slot) continue;
    if (slot.waiting.length > 0) {
      empty?.release();
      return slot;
    }
    if (empty) slot.release();
    else empty = slot;
  }
  return empty;
}

/** Free slots, other than this tab's, in which closed tabs left changes. The caller sends them under their own client ids and releases. */
export async function abandonedSlots(user: string, room: string, own: string): Promise<Slot[]> {
  if (!navigator.locks) return [];
  const found: Slot[] = [];
  for (const client of knownClients(user, room)) {
    if (client === own) continue;
    const slot = await open(user, room, client);
    if (!slot) continue;
    if (slot.waiting.length > 0) found.push(slot);
    else slot.release();
  }
  return found;
}
