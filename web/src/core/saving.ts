// What becomes of a turn: its chat gets a name and moves to the store, or what was not saved is kept for another try.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import type { Assistants } from "./assistants";
import { bodyOf } from "./bodies";
import type { Conversations } from "./conversations";
import type { Drafts, NewChat } from "./drafts";
import type { Outbox } from "./outbox";
import { backoff, pause } from "./pause";
import type { Places } from "./places";
import { ApiError } from "./problems";
import type { Reading } from "./reading";
import type { Slot } from "./storage";
import type { Chats } from "./store";
import type { Texts } from "./texts";
import { messageOf, pathTo, unsavedEnd } from "./tree";
import type { Home, TurnListener, Turns } from "./turns";
import type { Conversation } from "./types";

const LOOK_MS = 1_000;
const LOOKS_AFTER_A_FAILURE = 6; // a turn that failed may have been stored, or never be

export type Saving = ReturnType<typeof createSaving>;

interface Parts {
  api: Api;
  chats: Chats;
  drafts: Drafts;
  places: Places;
  assistants: Assistants;
  list: Conversations;
  outbox: Outbox;
  written: Texts;
  newChat: Slot<NewChat>;
  /** Whether it is the workspace that the list shows. */
  isHere: (workspaceId: string | null) => boolean;
  turns: () => Turns;
  reading: Reading;
  /** A turn of the chat is stored, or will be. */
  onSaved: (conversationId: string) => void;
  over: AbortSignal;
}

export function createSaving(parts: Parts) {
  const {
    api,
    chats,
    drafts,
    places,
    assistants,
    list,
    outbox,
    written,
    newChat,
    isHere,
    turns,
    reading,
    onSaved,
    over,
  } = parts;
  const { homeWith, chatIn, isDraft, conversationIdOf } = places;
  /** New chats whose answer is here and whose conversation is still awaited. */
  const store = createStore<Record<string, true>>()(() => ({}));

  /** Puts a conversation on top of the list of its workspace. */
  function touch(id: string, chat: Conversation): void {
    if (!isHere(chat.meta.workspaceId)) return;
    const { title, budId, model, createdAt } = chat.meta;
    list.touch({ id, title, budId, model: model ?? "", createdAt, updatedAt: new Date().toISOString() });
  }

  function name(draftId: string, conversationId: string): void {
    drafts.store.setState(({ created }) => ({ created: { ...created, [draftId]: conversationId } }));
    const draft = drafts.chats.getState().conversations[draftId];
    if (draft) touch(conversationId, draft);
    void list.ensure();
  }

  /** Fills the store with exactly what the draft shows; the page passes over when it sees that. */
  function moveDraft(draftId: string): void {
    const { created, moved, current, visible } = drafts.store.getState();
    const draft = drafts.chats.getState().conversations[draftId];
    const id = created[draftId];
    if (!draft || !id || moved[draftId]) return;
    chats.getState().setConversation(id, { ...draft, id });
    for (const message of draft.messages) turns().move(message.id, { chats, id });
    const text = written.get(draftId);
    written.set(draftId, "");
    if (text) written.set(id, text);
    drafts.store.setState({ moved: { ...moved, [draftId]: id } });
    if (current === draftId) newChat.set(null);
    if (current === draftId && !visible) assistants.begin();
    drafts.drop(draftId);
  }

  /** The server has the turn: nothing of its branch needs to be kept here. */
  function release(turnId: string): void {
    const home = homeWith(turnId);
    const messages = (home && chatIn(home)?.messages) ?? [];
    const saved = pathTo(messages, turnId).map((message) => message.id);
    if (home) home.chats.getState().markSaved(home.id, saved);
    if (home?.chats === chats) reading.note(home.id);
    const conversationId = home && conversationIdOf(home);
    if (conversationId) onSaved(conversationId);
    void outbox.remove(turnId);
  }

  function settle(draftId: string, turnId: string, conversationId: string): void {
    name(draftId, conversationId);
    release(turnId);
    moveDraft(draftId);
  }

  /** Keeps what the server does not have, for this visit and the next. It is sent again when asked for. */
  function keep(turnId: string): void {
    const home = homeWith(turnId);
    const chat = home && chatIn(home);
    const answer = chat && messageOf(chat.messages, turnId);
    if (!chat || !answer?.parentId) return;
    const conversationId = conversationIdOf(home);
    const draftId = isDraft(home) ? home.id : null;
    const messages = conversationId ? unsavedEnd(chat.messages, turnId) : chat.messages;
    const body = bodyOf(chat, turnId, answer.parentId, null);
    if (draftId) drafts.keep(draftId, null);
    void outbox.put({ turnId, conversationId, draftId, body, messages, over: true, at: Date.now() });
  }

  /**
   * The queue may have the chat, and storage has not confirmed it: looks until it has. At most `looks` times, unless the queue is
   * known to have it: then it will be stored, and a question asked again meanwhile would make a second chat of it.
   */
  async function awaitStored(home: Home, turnId: string, looks = Number.POSITIVE_INFINITY): Promise<void> {
    store.setState({ [home.id]: true });
    drafts.keep(home.id, turnId);
    let found: string | undefined;
    let durable = false;
    for (let look = 0; (look < looks || durable) && !found && chatIn(home); look++) {
      await pause(Math.max(LOOK_MS, backoff(look)));
      const state = await api.turn(turnId).catch((error: unknown) => error);
      if (over.aborted) return;
      if (state instanceof ApiError && state.status === 404) break;
      if (state instanceof Error) continue;
      ({ conversationId: found, durable } = state as { conversationId?: string; durable: boolean });
    }
    if (found) settle(home.id, turnId, found);
    else lose(home, turnId);
    const { [home.id]: _, ...others } = store.getState();
    store.setState(others, true);
  }

  /** The server does not know the turn any more: a whole answer becomes one that could not be saved. */
  function lose(home: Home, turnId: string): void {
    const answer = messageOf(chatIn(home)?.messages ?? [], turnId);
    if (answer?.status === "complete") {
      const error = { code: "not_saved", message: "", retryable: true };
      home.chats.getState().finishStreaming(home.id, turnId, answer.content, { status: "failed", error });
    }
    keep(turnId);
  }

  const listener: TurnListener = {
    onCreated: (turnId, conversationId) => {
      const home = turns().homeOf(turnId);
      if (!home || !isDraft(home)) return;
      name(home.id, conversationId);
      const { current, visible } = drafts.store.getState();
      if (!visible || current !== home.id) moveDraft(home.id);
    },

    onComplete: (turnId, { conversationId }) => {
      const home = homeWith(turnId);
      if (!home || !isDraft(home)) release(turnId);
      else if (conversationId) settle(home.id, turnId, conversationId);
      else void awaitStored(home, turnId);
    },

    onFailed: (turnId, code, kept) => {
      const home = homeWith(turnId);
      if (!home || code === "unauthenticated") return; // signing in takes the outbox up again, this turn with it
      const conversationId = conversationIdOf(home);
      if (kept && !conversationId) {
        void awaitStored(home, turnId, LOOKS_AFTER_A_FAILURE);
        return;
      }
      if (isDraft(home)) moveDraft(home.id);
      if (kept) release(turnId);
      else keep(turnId);
    },
  };

  return { store, listener, touch, moveDraft, keep, awaitStored };
}
