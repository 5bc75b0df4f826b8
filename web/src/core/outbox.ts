// The outbox: every message sent and not yet known to be stored, in IndexedDB, so that closing the browser loses nothing.

import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { ChatBody, Message } from "./types";

/**
 * `conversationId` is null for a chat the server has not named yet; `draftId` is its local key. `messages` are what the turn
 * added on screen. `over` marks a turn that ended unsaved: it is shown again, and sent again only when asked for.
 */
export interface OutboxEntry {
  turnId: string;
  conversationId: string | null;
  draftId: string | null;
  body: ChatBody;
  messages: Message[];
  over: boolean;
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

/** Where there is no IndexedDB (some private windows) nothing is kept, and nothing else changes. */
export function createOutbox(name = "chat-outbox"): Outbox {
  let opening: Promise<IDBPDatabase<Schema> | null> | undefined;
  const open = () => {
    opening ??= openDB<Schema>(name, 1, {
      upgrade: (database) => void database.createObjectStore("turns", { keyPath: "turnId" }),
    }).catch(() => null);
    return opening;
  };
  return {
    put: async (entry) => void (await (await open())?.put("turns", entry)),
    remove: async (turnId) => void (await (await open())?.delete("turns", turnId)),
    all: async () => ((await (await open())?.getAll("turns")) ?? []).sort((one, other) => one.at - other.at),
  };
}
