// Where a chat is: among the stored ones, or among the new ones that only this browser knows.

import type { Drafts } from "./drafts";
import type { Chats } from "./store";
import { messageOf } from "./tree";
import type { Home } from "./turns";
import type { Conversation } from "./types";

export type Places = ReturnType<typeof createPlaces>;

export function createPlaces(chats: Chats, drafts: Drafts) {
  const stores = [chats, drafts.chats];
  return {
    /** The chat of that id; a draft that has moved is found where it is now, though a page may show its copy for a moment more. */
    homeOf: (id: string): Home | null => {
      const at = drafts.store.getState().moved[id] ?? id;
      const store = stores.find((one) => one.getState().conversations[at]);
      return store ? { chats: store, id: at } : null;
    },
    /** The chat the server has by that name; a draft that has not moved there is found where it is. */
    homeNamed: (conversationId: string): Home | null => {
      if (chats.getState().conversations[conversationId]) return { chats, id: conversationId };
      const { created } = drafts.store.getState();
      const id = Object.keys(created).find((one) => created[one] === conversationId);
      return id === undefined ? null : { chats: drafts.chats, id };
    },
    /** The chat that holds the message; a moved draft's copy comes second. */
    homeWith: (messageId: string): Home | null => {
      for (const store of stores)
        for (const chat of Object.values(store.getState().conversations))
          if (messageOf(chat.messages, messageId)) return { chats: store, id: chat.id };
      return null;
    },
    chatIn: (home: Home): Conversation | undefined => home.chats.getState().conversations[home.id],
    isDraft: (home: Home) => home.chats === drafts.chats,
    /** The name the server has for the chat; null while it has none. */
    conversationIdOf: (home: Home): string | null =>
      home.chats === chats ? home.id : (drafts.store.getState().created[home.id] ?? null),
  };
}
