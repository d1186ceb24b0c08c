import type { Element } from '../protocol';
import { Database } from '../util/idb';

// Files that are being sent, in IndexedDB: an upload goes on after a reload. What is known of one is apart from its bytes, so that
// moving an element about does not write its file again.

export interface StoredUpload {
  /** The element that will show it. */
  id: string;
  room: string;
  user: string;
  name: string;
  type: string;
  element: Element;
  /** Of the server, once it was asked for. */
  asset?: string;
}

const database = new Database('kanvas-uploads', { uploads: 'id', files: 'id' });
const uploads = database.store('uploads');
const files = database.store('files');

/** Throws where the browser keeps no more. */
export async function keepFile(upload: StoredUpload, file: Blob): Promise<void> {
  await files.transact('readwrite', (s) => s.put({ id: upload.id, file }));
  await keepUpload(upload);
}

export async function keepUpload(upload: StoredUpload): Promise<void> {
  await uploads.transact('readwrite', (s) => s.put(upload));
}

export async function forgetUpload(id: string): Promise<void> {
  await uploads.transact('readwrite', (s) => s.delete(id));
  await files.transact('readwrite', (s) => s.delete(id));
}

/** What a person's tabs left behind in a room. */
export async function storedUploads(user: string, room: string): Promise<StoredUpload[]> {
  const all: StoredUpload[] = await uploads.transact('readonly', (s) => s.getAll());
  return all.filter((u) => u.user === user && u.room === room);
}

export async function storedFile(id: string): Promise<Blob | undefined> {
  return (await files.transact<{ file: Blob } | undefined>('readonly', (s) => s.get(id)))?.file;
}
