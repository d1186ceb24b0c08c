/** One object store of a database of the browser's own. Every call rejects where the browser keeps none (some private windows). */
export class IdbStore {
  constructor(private readonly database: Database, private readonly name: string) {}

  /** Runs one transaction and returns what `work` asked for, once it is on disk. */
  async transact<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
    const db = await this.database.open();
    return new Promise<T>((resolve, reject) => {
      const transaction = db.transaction(this.name, mode);
      const request = work(transaction.objectStore(this.name));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  }
}

/** A database with the stores it is made with: a change of them needs another name, as tabs of the page of before hold the old one open. */
export class Database {
  private opening: Promise<IDBDatabase> | undefined;

  constructor(private readonly name: string, private readonly stores: Record<string, string | string[]>) {}

  open(): Promise<IDBDatabase> {
    this.opening ??= new Promise((resolve, reject) => {
      const request = indexedDB.open(this.name, 1);
      request.onupgradeneeded = () => {
        for (const [store, keyPath] of Object.entries(this.stores)) request.result.createObjectStore(store, { keyPath });
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    });
    return this.opening;
  }

  store(name: string): IdbStore {
    return new IdbStore(this, name);
  }
}
