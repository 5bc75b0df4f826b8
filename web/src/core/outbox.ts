// The outbox: every message sent and not yet known to be stored, in IndexedDB, so that closing the browser loses nothing.

import { KINDS } from "./kinds";
import type { Records } from "./storage";
import type { ChatBody, Message } from "./types";

/**
 * `conversationId` is null for a chat the server has not named yet; `draftId` is its local key. `messages` are what the turn
 * added on screen. `over` marks a turn that ended unsaved: it is shown again, and sent again only when asked for. Whose it is
 * stands around it, as around every record: nobody else who signs in here sees or sends it.
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

export interface Outbox {
  put: (entry: OutboxEntry) => Promise<void>;
  remove: (turnId: string) => Promise<void>;
  /** In the order they were sent. */
  all: () => Promise<OutboxEntry[]>;
}

export function createOutbox(records: Records): Outbox {
  const rows = records.rows(KINDS.outbox);
  return {
    put: (entry) => rows.put(entry.turnId, entry, entry.body.workspaceId ?? null),
    remove: rows.remove,
    all: async () => (await rows.all()).sort((one, other) => one.at - other.at),
  };
}
