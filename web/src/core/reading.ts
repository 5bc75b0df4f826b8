// How much of a stored chat is here: the newest page of one branch at first; older messages, other branches and changes as they
// are asked for.

import type { Api, Part } from "./api";
import type { Memory } from "./lastRead";
import type { Chats } from "./store";
import { lastSaved, merged, messageOf, pathTo, pinned, placeOf, ROOT, visibleBranch } from "./tree";
import type { Conversation, Message } from "./types";

/** Before any change there can be: a chat that was begun in this tab has not been read from the server. */
const NEVER = "1970-01-01T00:00:00.000Z";

interface Parts {
  api: Api;
  chats: Chats;
  memory: Memory;
}

export type Reading = ReturnType<typeof createReading>;

export function createReading({ api, chats, memory }: Parts) {
  /** Since when a chat's changes are not known here. */
  const asOf = new Map<string, string>();
  const fetching = new Map<string, Promise<void>>();
  const chatOf = (id: string): Conversation | undefined => chats.getState().conversations[id];

  /** The branch last read, or the one with the newest leaf: its newest page. */
  async function first(id: string): Promise<Part> {
    const part = await api.newest(id, { through: memory.of(id) });
    if (part.asOf) asOf.set(id, part.asOf);
    return part;
  }

  /** Notes the branch on screen as the one last read. */
  function note(id: string): void {
    const chat = chatOf(id);
    const leaf = chat && visibleBranch(chat).at(-1);
    if (chat && leaf) memory.note(id, placeOf(chat.messages, lastSaved(chat.messages, leaf.id)));
  }

  /** One at a time for a chat: what is read twice at once would be put in twice. */
  function once(id: string, read: () => Promise<void>): Promise<void> {
    const running = fetching.get(id);
    if (running) return running;
    const next = read().finally(() => fetching.delete(id));
    fetching.set(id, next);
    return next;
  }

  /** Puts the messages above the ones here until something of the branch on screen has come. Throws what the API throws. */
  async function readOlder(id: string): Promise<void> {
    for (let cursor = chatOf(id)?.older?.cursor; cursor; ) {
      const part = await api.newest(id, { cursor });
      const before = chatOf(id);
      if (!before?.older || before.older.cursor !== cursor) return; // another branch is on screen meanwhile
      const messages = merged(before.messages, part.messages);
      // A cursor that leads to nothing new would lead there again.
      const isNew = messages.length > before.messages.length;
      const older = hanging(messages, visibleBranch(before)[0], part.messages.length > 0 ? part.cursor : undefined);
      chats.getState().setConversation(id, { ...without(before), messages, ...(older ? { older } : {}) });
      if (isNew) return;
      cursor = older?.cursor;
    }
  }

  return {
    first,
    note,

    /** All of it, for what hangs on a message that the newest page does not hold. */
    whole: api.conversation,

    /** The messages above the first one on screen. Throws what the API throws. */
    older: (id: string): Promise<void> => once(id, () => readOlder(id)),

    /**
     * Shows the branch through a version of a message; reads it first where it is not here. `beside` is a version that is.
     * Throws what the API throws.
     */
    show: async (id: string, messageId: string, beside: string): Promise<void> => {
      const before = chatOf(id);
      if (!before) return;
      if (!messageOf(before.messages, messageId)) {
        const place = placeOf(before.messages, beside);
        if (!place) return;
        const part = await api.newest(id, { through: `${place.split(":")[0]}:${messageId}` });
        const now = chatOf(id);
        const leaf = part.messages.at(-1);
        if (!now || !leaf) return;
        const messages = merged(now.messages, part.messages);
        const top = pathTo(messages, leaf.id)[0];
        const above = top?.parentId ?? ROOT;
        const older = above === (now.older?.above ?? ROOT) ? now.older : hanging(messages, leaf, part.cursor);
        const parent = messageOf(now.messages, beside)?.parentId ?? ROOT;
        const chosen = { ...now.meta.chosen, [parent]: messageId };
        const meta = { ...now.meta, chosen };
        chats.getState().setConversation(id, { ...without(now), messages, meta, ...(older ? { older } : {}) });
      } else {
        const message = messageOf(before.messages, messageId);
        if (message) chats.getState().choose(id, message);
      }
      note(id);
    },

    /** Adds what other tabs and devices have written; returns the new messages. The branch on screen stays on screen. */
    changes: async (id: string): Promise<Message[]> => {
      const before = chatOf(id);
      if (!before) return [];
      const part = await api.changes(id, asOf.get(id) ?? NEVER);
      const now = chatOf(id);
      if (!now || now.isStreaming) return [];
      if (part.asOf) asOf.set(id, part.asOf);
      const added = part.messages.filter((message) => !messageOf(now.messages, message.id));
      const messages = merged(now.messages, part.messages);
      const title = part.meta.title || now.meta.title;
      if (messages !== now.messages || title !== now.meta.title) {
        const meta = { ...pinned(now, added), title };
        chats.getState().setConversation(id, { ...now, messages, meta });
        note(id);
      }
      return added;
    },

    forget: (id: string): void => {
      asOf.delete(id);
      memory.forget(id);
    },
  };
}

function without({ older: _, ...chat }: Conversation): Conversation {
  return chat;
}

/** What the messages hang from that lead to this one, where they do not reach the root. */
export function hanging(
  messages: readonly Message[],
  leaf: Message | undefined,
  cursor: string | undefined,
): Conversation["older"] {
  const above = leaf && pathTo(messages, leaf.id)[0]?.parentId;
  return above ? { above, ...(cursor ? { cursor } : {}) } : undefined;
}
