// The part of the storage that is IndexedDB: rows that no reload and no closed browser loses.

import { deleteDB, type IDBPDatabase, openDB } from "idb";
import { KINDS } from "./kinds";

const OPEN_MS = 2_000;
const STORE = KINDS.outbox.name;

export type Database = ReturnType<typeof createDatabase>;

/**
 * The rows of the database, one operation after the other: a removal must not overtake the writing of what it removes. Where there
 * is no IndexedDB (some private windows), no room in it, or no answer from it, nothing is kept, and nothing else changes.
 */
export function createDatabase(name: string) {
  let opening: [Promise<IDBPDatabase>, Promise<never>] | undefined;
  const open = () => {
    opening ??= [
      connect(name, () => {
        opening = undefined; // the browser has closed it: the next use opens it again
      }),
      new Promise((_, reject) => setTimeout(reject, OPEN_MS)),
    ];
    return Promise.race(opening); // waited for once, not at every use; one that opens later is used from then on
  };
  let last: Promise<unknown> = Promise.resolve();
  function inTurn(act: (database: IDBPDatabase) => Promise<unknown>): Promise<void> {
    const next = last.then(async () => void (await act(await open()))).catch(() => {});
    last = next;
    return next;
  }
  return {
    put: (store: string, row: object) => inTurn((database) => database.put(store, row)),
    remove: (store: string, key: string) => inTurn((database) => database.delete(store, key)),
    /** Shows every row, with a way to remove it. */
    each: (store: string, look: (raw: unknown, remove: () => void) => void) =>
      inTurn(async (database) => {
        const change = database.transaction(store, "readwrite");
        for (let cursor = await change.store.openCursor(); cursor; cursor = await cursor.continue()) {
          const { key } = cursor;
          look(cursor.value, () => void change.store.delete(key));
        }
        await change.done;
      }),
  };
}

async function connect(name: string, onClosed: () => void): Promise<IDBPDatabase> {
  const open = () =>
    openDB(name, 1, {
      upgrade: (database) => void database.createObjectStore(STORE, { keyPath: "turnId" }),
      terminated: onClosed,
    });
  // A database of that name and another shape is not this version's: its rows could not be read.
  const found = await open().catch((error: unknown) => {
    if ((error as DOMException | null)?.name === "VersionError") return null;
    throw error;
  });
  if (found?.objectStoreNames.contains(STORE)) return found;
  found?.close();
  await deleteDB(name);
  return open();
}
