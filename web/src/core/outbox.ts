// The outbox: every message sent and not yet known to be stored, in IndexedDB, so that closing the browser loses nothing.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { ChatBody, Message } from "./types";

/**
 * `conversationId` is null for a chat the server has not named yet; `draftId` is its local key. `messages` are what the turn
 * added on screen. `over` marks a turn that ended unsaved: it is shown again, and sent again only when asked for. `owner` is the
 * user who wrote it: nobody else who signs in here sees or sends it.
 */
export interface OutboxEntry {
  turnId: string;
  conversationId: string | null;
  draftId: string | null;
  body: ChatBody;
  messages: Message[];
  over: boolean;
  owner: string;
  at: number;
}

interface Schema extends DBSchema {
  turns: { key: string; value: OutboxEntry };
}

export interface Outbox {
  put: (entry: OutboxEntry) => Promise<void>;
  remove: (turnId: string) => Promise<void>;
  all: () => Promise<OutboxEntry[]>;
}

const OPEN_MS = 2_000;

/** Where there is no IndexedDB (some private windows), no room in it, or no answer from it, nothing is kept, and nothing else changes. */
export function createOutbox(name = "chat-outbox"): Outbox {
  let opening: [Promise<IDBPDatabase<Schema>>, Promise<never>] | undefined;
  const open = () => {
    opening ??= [
      openDB<Schema>(name, 1, {
        upgrade: (database) => void database.createObjectStore("turns", { keyPath: "turnId" }),
        terminated: () => {
          opening = undefined; // the browser has closed it: the next use opens it again
        },
      }),
      new Promise((_, reject) => setTimeout(reject, OPEN_MS)),
    ];
    return Promise.race(opening); // waited for once, not at every use; one that opens later is used from then on
  };
  let last: Promise<unknown> = Promise.resolve();
  // One after the other: a removal must not overtake the writing of what it removes.
  function inTurn<T>(act: (database: IDBPDatabase<Schema>) => Promise<T>, otherwise: T): Promise<T> {
    const next = last.then(async () => act(await open())).catch(() => otherwise);
    last = next;
    return next;
  }
  return {
    put: (entry) => inTurn(async (database) => void (await database.put("turns", entry)), undefined),
    remove: (turnId) => inTurn((database) => database.delete("turns", turnId), undefined),
    all: async () => {
      const entries = await inTurn((database) => database.getAll("turns"), []);
      return entries.sort((one, other) => one.at - other.at);
    },
  };
}
