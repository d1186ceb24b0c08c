import type { Command } from '../protocol';
import { Database } from '../util/idb';

// Waiting commands in IndexedDB: pictures make them too large for localStorage. Where the browser has no IndexedDB (some private
// windows) they wait in memory only; `persistent()` tells.

export interface StoredEntry {
  room: string;
  client: string;
  seq: number;
  commands: Command[];
  hints: Record<string, string>;
  bytes: number;
}

const outbox = new Database('kanvas', { outbox: ['room', 'client', 'seq'] }).store('outbox');
let failed = false;

async function transact<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> {
  try {
    return await outbox.transact(mode, work);
  } catch (error) {
    failed = true;
    console.error('kanvas: waiting changes can not be kept across a reload', error);
    return undefined;
  }
}

/** False once keeping a waiting command has failed: it still waits in memory, but a reload would lose it. */
export const persistent = (): boolean => !failed;

export const putEntry = (entry: StoredEntry) => transact('readwrite', (s) => s.put(entry));
export const deleteEntry = (room: string, client: string, seq: number) => transact('readwrite', (s) => s.delete([room, client, seq]));

export async function loadEntries(room: string, client: string): Promise<StoredEntry[]> {
  const range = IDBKeyRange.bound([room, client, 0], [room, client, Number.MAX_SAFE_INTEGER]);
  return ((await transact('readonly', (s) => s.getAll(range))) as StoredEntry[] | undefined) ?? [];
}
