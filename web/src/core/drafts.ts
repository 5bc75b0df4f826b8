// Chats the server has not named yet. Each lives under a local key until its conversation exists, then moves to the store.

import { createStore } from "zustand/vanilla";
import { newId } from "./ids";
import type { Slot } from "./storage";
import { type Chats, createChats } from "./store";
import type { Bud, Conversation, Message } from "./types";

export interface DraftsState {
  /** The chat that /new shows. */
  current: string;
  /** The conversation a draft was stored as: known before the draft moves there. */
  created: Record<string, string>;
  /** The conversation a draft has moved to: /new passes to it. */
  moved: Record<string, string>;
  /** Whether /new is on screen; a draft moves under nobody's eyes at once, else when its answer is complete. */
  visible: boolean;
}

/** What a reload of this tab must find at once: the chat on /new, and the turn that answers it. */
export interface NewChat {
  draft: Conversation;
  turnId: string | null;
}

export type Drafts = ReturnType<typeof createDrafts>;

export function createDrafts(newChat: Slot<NewChat>, workspace: () => string | null) {
  const chats: Chats = createChats();
  const first = empty(null, null, null);
  const store = createStore<DraftsState>()(() => ({ current: first.id, created: {}, moved: {}, visible: false }));
  chats.getState().setConversation(first.id, first);
  const current = () => {
    const found = chats.getState().conversations[store.getState().current];
    if (!found) throw new Error("the draft on screen is gone");
    return found;
  };
  return {
    chats,
    store,
    current,

    /** A fresh /new in the workspace of now, greeted by the bud; the one before it stays while it runs. */
    begin(bud: Bud | null, model: string | null): void {
      const fresh = empty(bud, model, workspace());
      chats.getState().setConversation(fresh.id, fresh);
      store.setState({ current: fresh.id });
      newChat.set(null);
    },

    /** Another bud or model for a chat in which nothing was said yet. */
    configure(bud: Bud | null, model: string | null): void {
      const before = current();
      if (isUntouched(before))
        chats.getState().setConversation(before.id, { ...empty(bud, model, workspace()), id: before.id });
    },

    restore(draft: Conversation, show: boolean): void {
      chats.getState().setConversation(draft.id, draft);
      if (show) store.setState({ current: draft.id });
    },

    /** What a reload of this tab needs; `turnId` is the turn under way. */
    keep(draftId: string, turnId: string | null): void {
      const draft = chats.getState().conversations[draftId];
      if (draft && draftId === store.getState().current) newChat.set({ draft, turnId });
    },

    /** The draft's last reader has gone: it is forgotten. */
    drop(draftId: string): void {
      if (draftId !== store.getState().current) chats.getState().removeConversation(draftId);
    },
  };
}

/** Nothing but a greeting. */
export function isUntouched(chat: Conversation): boolean {
  return chat.messages.every((message) => message.role !== "user");
}

function empty(bud: Bud | null, model: string | null, workspaceId: string | null): Conversation {
  const now = new Date().toISOString();
  const id = newId();
  const greeting: Message[] = bud?.greeting
    ? [{ id: newId(), parentId: null, role: "assistant", content: bud.greeting, status: "complete", createdAt: now }]
    : [];
  return {
    id,
    messages: greeting,
    isStreaming: false,
    meta: { title: "", workspaceId, budId: bud?.id ?? "default", model, createdAt: now, updatedAt: now },
  };
}
