// The client without its pages: the stores, the turns, and everything a person can do.

import { createStore } from "zustand/vanilla";
import { type Api, createApi } from "./api";
import { createAuth } from "./auth";
import { bodyOf, titleOf } from "./bodies";
import { createConversations } from "./conversations";
import { createDrafts, isUntouched } from "./drafts";
import { newId } from "./ids";
import { createOutbox, type Outbox } from "./outbox";
import { backoff, pause } from "./pause";
import { ApiError } from "./problems";
import { loadNewChat, remembered, saveNewChat } from "./session";
import { createChats } from "./store";
import { messageOf, visibleBranch } from "./tree";
import { createTurns, type Home } from "./turns";
import type { Bud, Conversation, Message } from "./types";

export type Client = ReturnType<typeof createClient>;

export interface Opening {
  state: "loading" | "missing" | "failed";
}

const STOP_TRIES = 8;
const SAVED_LOOK_MS = 1_000;

export function createClient(outbox: Outbox = createOutbox()) {
  const auth = createAuth(() => api.config());
  const api: Api = createApi(auth.tokens);
  const chats = createChats();
  const drafts = createDrafts();
  const buds = createStore<{ items: Bud[]; bud: string; model: string | null }>()(() => ({
    items: remembered<Bud[]>("buds").get() ?? [],
    bud: remembered<string>("bud").get() ?? "default",
    model: remembered<string>("model").get(),
  }));
  const workspace = createStore<{ current: string | null }>()(() => ({
    current: remembered<string>("workspace").get(),
  }));
  const opening = createStore<Record<string, Opening>>()(() => ({}));
  /** A new chat whose answer is here and whose conversation is still awaited. */
  const saving = createStore<Record<string, true>>()(() => ({}));
  const list = createConversations(
    api,
    () => workspace.getState().current,
    (id) => chats.getState().removeConversation(id),
  );
  const turns = createTurns(api, { onAccepted: () => {}, onCreated, onComplete, onFailed });

  const chosenBud = () => {
    const { items, bud } = buds.getState();
    return items.find((one) => one.id === bud) ?? items[0] ?? null;
  };
  const homeOf = (id: string): Home | null =>
    chats.getState().conversations[id]
      ? { chats, id }
      : drafts.chats.getState().conversations[id]
        ? { chats: drafts.chats, id }
        : null;
  const chatIn = (home: Home): Conversation | undefined => home.chats.getState().conversations[home.id];
  const conversationIdOf = (home: Home) =>
    home.chats === chats ? home.id : (drafts.store.getState().created[home.id] ?? null);

  // --- asking ----------------------------------------------------------------------------------------------------------

  /** Shows the question and a place for its answer, then asks. `storedId`: see bodyOf. */
  function ask(home: Home, question: Message, storedId: string | null): void {
    const turnId = newId();
    const now = new Date().toISOString();
    const answer: Message = {
      id: turnId,
      parentId: question.id,
      role: "assistant",
      content: "",
      status: "streaming",
      createdAt: now,
    };
    const { addOptimisticMessage } = home.chats.getState();
    if (!messageOf(chatIn(home)?.messages ?? [], question.id)) addOptimisticMessage(home.id, question);
    addOptimisticMessage(home.id, answer);
    const chat = chatIn(home);
    if (!chat) return;
    const conversationId = conversationIdOf(home);
    const body = bodyOf(chat, turnId, question.id, conversationId ? storedId : null);
    turns.run({ turnId, conversationId, body, follow: false }, home);
    const isDraft = home.chats !== chats;
    if (isDraft) drafts.keep(home.id, turnId);
    const messages = isDraft ? chat.messages : [question, answer];
    void outbox.put({
      turnId,
      conversationId,
      draftId: isDraft ? home.id : null,
      body,
      messages,
      over: false,
      at: Date.now(),
    });
    if (conversationId) touch(conversationId, chat);
  }

  function touch(id: string, chat: Conversation): void {
    const { title, budId, model, createdAt } = chat.meta;
    list.touch({ id, title, budId, model: model ?? "", createdAt, updatedAt: new Date().toISOString() });
  }

  /** Whether a message can be sent there now: one turn at a time, and a chat must have its name before the second. */
  function isReady(home: Home): boolean {
    const chat = chatIn(home);
    return chat !== undefined && !chat.isStreaming && !saving.getState()[home.id];
  }

  function send(id: string, text: string): boolean {
    const home = homeOf(id);
    const chat = home && chatIn(home);
    if (!home || !chat || !isReady(home) || !text.trim()) return false;
    if (home.chats !== chats) {
      const meta = { ...chat.meta, workspaceId: workspace.getState().current };
      home.chats.getState().setConversation(id, { ...chat, meta: { ...meta, title: meta.title || titleOf(text) } });
    }
    const last = visibleBranch(chat.messages, chat.meta.chosen).at(-1)?.id ?? null;
    ask(home, userMessage(text, last), last);
    return true;
  }

  function edit(id: string, messageId: string, text: string): boolean {
    const home = homeOf(id);
    const before = home && messageOf(chatIn(home)?.messages ?? [], messageId);
    if (!home || !before || !isReady(home) || !text.trim()) return false;
    ask(home, userMessage(text, before.parentId), before.parentId);
    return true;
  }

  /** Another answer to the same question. After a failure the question goes along: it may not have been stored either. */
  function again(id: string, answerId: string): boolean {
    const home = homeOf(id);
    const messages = (home && chatIn(home)?.messages) || [];
    const answer = messageOf(messages, answerId);
    const question = answer?.parentId ? messageOf(messages, answer.parentId) : undefined;
    if (!home || !answer || question?.role !== "user" || !isReady(home)) return false;
    const failed = answer.status === "failed";
    if (failed && !answer.content) home.chats.getState().removeMessages(id, [answerId]);
    void outbox.remove(answerId);
    ask(home, question, failed ? question.parentId : question.id);
    return true;
  }

  async function stop(turnId: string): Promise<void> {
    turns.stopping(turnId);
    for (let attempt = 0; turns.has(turnId) && attempt < STOP_TRIES; attempt++) {
      try {
        await api.stop(turnId);
        return;
      } catch (error) {
        if (turns.withdraw(turnId)) {
          void outbox.remove(turnId);
          return;
        }
        if (error instanceof ApiError && !error.retryable && error.status !== 404) return;
      }
      await pause(backoff(attempt));
    }
  }

  // --- what becomes of a turn -------------------------------------------------------------------------------------------

  function onCreated(turnId: string, conversationId: string): void {
    const home = turns.homeOf(turnId);
    void outbox.remove(turnId);
    if (!home || home.chats === chats) return;
    drafts.store.setState(({ created }) => ({ created: { ...created, [home.id]: conversationId } }));
    const { current, visible } = drafts.store.getState();
    const draft = chatIn(home);
    if (draft) touch(conversationId, draft);
    void list.ensure();
    if (!visible || current !== home.id) moveDraft(home.id);
  }

  /** Fills the store with exactly what the draft shows; the page passes over when it sees that. */
  function moveDraft(draftId: string): void {
    const { created, moved, current, visible } = drafts.store.getState();
    const draft = drafts.chats.getState().conversations[draftId];
    const id = created[draftId];
    if (!draft || !id || moved[draftId]) return;
    chats.getState().setConversation(id, { ...draft, id });
    for (const message of draft.messages) turns.move(message.id, { chats, id });
    drafts.store.setState({ moved: { ...moved, [draftId]: id } });
    if (current === draftId) saveNewChat(null);
    if (current === draftId && !visible) drafts.begin(chosenBud(), buds.getState().model);
    drafts.drop(draftId);
  }

  function onComplete(turnId: string, event: { conversationId: string | null }): void {
    const home = draftOf(turnId);
    if (!home) {
      void outbox.remove(turnId);
      return;
    }
    if (event.conversationId) settleDraft(home.id, turnId, event.conversationId);
    else void awaitStored(home.id, turnId);
  }

  function settleDraft(draftId: string, turnId: string, conversationId: string): void {
    void outbox.remove(turnId);
    drafts.store.setState(({ created }) => ({ created: { ...created, [draftId]: conversationId } }));
    const draft = drafts.chats.getState().conversations[draftId];
    if (draft) touch(conversationId, draft);
    void list.ensure();
    moveDraft(draftId);
  }

  /** The queue has the chat and storage has not confirmed it: looks until it has. */
  async function awaitStored(draftId: string, turnId: string): Promise<void> {
    saving.setState({ [draftId]: true });
    drafts.keep(draftId, turnId);
    for (let attempt = 0; drafts.chats.getState().conversations[draftId]; attempt++) {
      await pause(Math.max(SAVED_LOOK_MS, backoff(attempt)));
      const state = await api.turn(turnId).catch(() => null);
      if (!state?.conversationId) continue;
      settleDraft(draftId, turnId, state.conversationId);
      break;
    }
    const { [draftId]: _, ...others } = saving.getState();
    saving.setState(others, true);
  }

  function onFailed(turnId: string, error: { code: string }, saved: boolean): void {
    const home = homeWith(turnId);
    const chat = home && chatIn(home);
    if (!home || !chat) return;
    if (home.chats === chats && saved && !REFUSED.has(error.code)) {
      void outbox.remove(turnId);
      return;
    }
    if (home.chats !== chats) {
      drafts.keep(home.id, null);
      if (drafts.store.getState().created[home.id]) {
        moveDraft(home.id);
        return;
      }
    }
    const conversationId = conversationIdOf(home);
    const mine = chat.messages.filter(
      (message) => message.id === turnId || isQuestionOf(chat.messages, turnId, message),
    );
    const body = bodyOf(chat, turnId, mine[0]?.id ?? turnId, null);
    const messages = conversationId ? mine : chat.messages;
    const draftId = home.chats === chats ? null : home.id;
    void outbox.put({ turnId, conversationId, draftId, body, messages, over: true, at: Date.now() });
  }

  const draftOf = (turnId: string): Home | null => {
    const home = homeWith(turnId);
    return home?.chats === drafts.chats ? home : null;
  };

  /** The chat that holds the message; a moved draft's copy comes second. */
  function homeWith(messageId: string): Home | null {
    for (const store of [chats, drafts.chats])
      for (const chat of Object.values(store.getState().conversations))
        if (messageOf(chat.messages, messageId)) return { chats: store, id: chat.id };
    return null;
  }

  // --- opening and taking up again ---------------------------------------------------------------------------------------

  /** Puts a conversation into the store if it is not there, with what this browser still holds of it. */
  async function open(id: string): Promise<void> {
    if (chats.getState().conversations[id] || opening.getState()[id]?.state === "loading") return;
    opening.setState({ [id]: { state: "loading" } });
    try {
      const { meta, messages } = await api.conversation(id);
      const entries = (await outbox.all()).filter((entry) => entry.conversationId === id);
      const merged = [...messages];
      for (const entry of entries)
        for (const message of entry.messages) if (!messageOf(merged, message.id)) merged.push(message);
      chats.getState().setConversation(id, { id, messages: merged, isStreaming: false, meta });
      for (const message of merged)
        if (message.role === "assistant" && message.status === "streaming") {
          const entry = entries.find((one) => one.turnId === message.id);
          turns.run({ turnId: message.id, conversationId: id, body: entry?.body ?? null, follow: true }, { chats, id });
        }
      const { [id]: _, ...others } = opening.getState();
      opening.setState(others, true);
    } catch (error) {
      const missing = error instanceof ApiError && error.status === 404;
      opening.setState({ [id]: { state: missing ? "missing" : "failed" } });
    }
  }

  /** The chat this tab had on /new, at once; everything else the outbox holds, as soon as it is read. */
  function takeUp(): void {
    const session = loadNewChat();
    if (session) {
      drafts.restore(session.draft, true);
      if (session.turnId) resumeDraft(session.draft.id, session.turnId);
    }
    void takeUpOutbox();
  }

  function resumeDraft(draftId: string, turnId: string): void {
    const home: Home = { chats: drafts.chats, id: draftId };
    const chat = chatIn(home);
    const answer = chat && messageOf(chat.messages, turnId);
    if (!chat || !answer?.parentId) return;
    if (answer.status !== "streaming") void awaitStored(draftId, turnId);
    else
      turns.run(
        { turnId, conversationId: null, body: bodyOf(chat, turnId, answer.parentId, null), follow: true },
        home,
      );
  }

  async function takeUpOutbox(): Promise<void> {
    const held = new Set((await navigator.locks?.query())?.held?.map((lock) => lock.name));
    for (const entry of await outbox.all()) {
      if (turns.has(entry.turnId) || held.has(`turn:${entry.turnId}`)) continue;
      if (entry.conversationId) {
        if (!entry.over) void open(entry.conversationId);
      } else if (entry.draftId && !drafts.chats.getState().conversations[entry.draftId]) {
        drafts.restore(draftFrom(entry), false);
        if (!entry.over) resumeDraft(entry.draftId, entry.turnId);
      }
    }
  }

  // --- buds, workspaces, list ---------------------------------------------------------------------------------------------

  async function loadBuds(): Promise<void> {
    const items = await api.buds().catch(() => null);
    if (!items) return;
    remembered<Bud[]>("buds").set(items);
    buds.setState({ items });
    if (!drafts.current().messages.length) drafts.configure(chosenBud(), buds.getState().model);
  }

  function choose(budId: string, model: string | null): void {
    const bud = buds.getState().items.find((one) => one.id === budId);
    const allowed = model && bud?.models.includes(model) ? model : null;
    buds.setState({ bud: budId, model: allowed });
    remembered<string>("bud").set(budId);
    remembered<string>("model").set(allowed);
    drafts.configure(chosenBud(), allowed);
  }

  return {
    api,
    auth,
    chats,
    drafts,
    turns,
    list,
    buds,
    workspace,
    opening,
    saving,
    outbox,
    chosenBud,
    send,
    edit,
    again,
    stop,
    open,
    choose,
    loadBuds,

    /** Begins the visit; returns the path to show when it is another one. */
    start: async (): Promise<string | null> => {
      drafts.configure(chosenBud(), buds.getState().model);
      const path = await auth.start();
      takeUp();
      void loadBuds();
      return path;
    },

    /** /new is asked for: a fresh one, unless the one there is unused. */
    startNew: () => {
      const before = drafts.current();
      if (isUntouched(before)) return;
      drafts.begin(chosenBud(), buds.getState().model);
      if (drafts.store.getState().created[before.id]) moveDraft(before.id);
    },

    /** Whether /new is on screen. */
    showNew: (visible: boolean) => {
      drafts.store.setState({ visible });
      const { current, created } = drafts.store.getState();
      if (!visible && created[current]) moveDraft(current);
    },

    /** The passage is over: /new is free for the next chat. */
    arrived: (conversationId: string) => {
      const { current, moved } = drafts.store.getState();
      if (moved[current] !== conversationId) return;
      drafts.begin(chosenBud(), buds.getState().model);
      drafts.drop(current);
    },

    /** A chat the server has not named, from the list. */
    resumeNew: (draftId: string) => drafts.store.setState({ current: draftId }),

    rename: async (id: string, title: string) => {
      const before = chats.getState().conversations[id]?.meta.title;
      chats.getState().rename(id, title);
      try {
        await list.rename(id, title);
      } catch (error) {
        if (before !== undefined) chats.getState().rename(id, before);
        throw error;
      }
    },

    switchWorkspace: (id: string | null) => {
      remembered<string>("workspace").set(id);
      workspace.setState({ current: id });
      list.reset();
      void list.refresh();
    },
  };
}

/** Refusals of the request itself: the server has stored nothing of it. */
const REFUSED = new Set([
  "too_large",
  "invalid_request",
  "unknown_model",
  "unknown_bud",
  "quota_exceeded",
  "forbidden_workspace",
]);

function userMessage(content: string, parentId: string | null): Message {
  return { id: newId(), parentId, role: "user", content, status: "complete", createdAt: new Date().toISOString() };
}

function isQuestionOf(messages: readonly Message[], answerId: string, message: Message): boolean {
  return messageOf(messages, answerId)?.parentId === message.id;
}

function draftFrom(entry: {
  draftId: string | null;
  body: { budId: string; model?: string; workspaceId?: string };
  messages: Message[];
  at: number;
}): Conversation {
  const now = new Date(entry.at).toISOString();
  const question = entry.messages.find((message) => message.role === "user")?.content ?? "";
  return {
    id: entry.draftId ?? newId(),
    messages: entry.messages,
    isStreaming: false,
    meta: {
      title: titleOf(question),
      workspaceId: entry.body.workspaceId ?? null,
      budId: entry.body.budId,
      model: entry.body.model ?? null,
      createdAt: now,
      updatedAt: now,
    },
  };
}
