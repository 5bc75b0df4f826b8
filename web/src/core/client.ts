// The client without its pages: the stores, the turns, and everything a person can do.

import { createStore } from "zustand/vanilla";
import { type Api, createApi } from "./api";
import { createAsking } from "./asking";
import { createAssistants } from "./assistants";
import { type Auth, createAuth } from "./auth";
import { createConversations } from "./conversations";
import { createDrafts, isUntouched } from "./drafts";
import { KINDS, NOBODY } from "./kinds";
import { createLastRead } from "./lastRead";
import { createOthers } from "./others";
import { createOutbox } from "./outbox";
import { createPlaces } from "./places";
import { createReach } from "./reach";
import { createReading } from "./reading";
import { createResuming } from "./resuming";
import { createSaving } from "./saving";
import { createStorage } from "./storage";
import { createChats } from "./store";
import { createTabs } from "./tabs";
import { createTexts } from "./texts";
import { messageOf } from "./tree";
import { createTurns, type Home, type Turns } from "./turns";

const LOCAL_USER = "local"; // whom the server sees where nobody signs in

export type Client = ReturnType<typeof createClient>;

/** Asks the server how to sign in; no token is needed for that. */
export const askConfig = () => createApi({ current: async () => null, renew: async () => false }).config();

/**
 * All that is one person's in this page, from the moment it is known who they are. `end` lets go of it as a whole: what comes back
 * afterwards (a request, a timer, a write that was queued) finds nothing it could change.
 */
export function createClient(storage = createStorage(), auth: Auth = createAuth(askConfig, storage)) {
  const { owner, session, workspaces } = auth.store.getState();
  const ending = new AbortController();
  const over = ending.signal;
  const records = storage.of(owner);
  const api: Api = createApi(auth.tokens, "", over);
  const tabs = createTabs(session, over);
  const others = createOthers(tabs);
  const outbox = createOutbox(records);
  const newChat = records.slot(KINDS.newChat);
  const lastWorkspace = records.slot(KINDS.workspace);
  const said = createStore<{ text: string }>()(() => ({ text: "" }));
  const workspace = createStore<{ current: string | null }>()(() => ({ current: null }));
  const chosenWorkspace = () => workspace.getState().current;
  /** The personal workspace is null here; the server has a name for it. */
  const named = (id: string | null) => (id === (owner.user || LOCAL_USER) ? null : id);
  const isHere = (id: string | null) => named(id) === chosenWorkspace();

  const chats = createChats();
  const drafts = createDrafts(newChat, chosenWorkspace);
  const places = createPlaces(chats, drafts);
  const written = createTexts(records, (place) => {
    const home = places.homeOf(place);
    const chat = home && places.chatIn(home);
    return chat ? named(chat.meta.workspaceId) : chosenWorkspace();
  });
  const reading = createReading({ api, chats, memory: createLastRead(records.slot(KINDS.branches)) });
  const assistants = createAssistants(api, drafts, records);
  const list = createConversations(api, records, chosenWorkspace, forget, (id) => void resuming.open(id), over, others);
  const saving = createSaving({
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
    turns: (): Turns => turns,
    reading,
    onSaved: (id) => others.tell({ workspace: chosenWorkspace(), answered: id }),
    over,
  });
  const reach = createReach(over);
  const turns = createTurns(api, saving.listener, reach.isCut);
  const nobodys = session
    ? { newChat: storage.of(NOBODY).slot(KINDS.newChat), outbox: createOutbox(storage.of(NOBODY)) }
    : null;
  const resuming = createResuming({ chats, drafts, turns, outbox, saving, reading, newChat, nobodys, over });
  const asking = createAsking({ api, drafts, places, turns, list, outbox, saving, reading });

  others.listen(({ renamed, answered }) => {
    if (renamed) call(renamed.id, renamed.title);
    if (answered && chats.getState().conversations[answered]) void resuming.refresh(answered);
  });

  /** The conversation was deleted: nothing of it stays here. */
  function forget(id: string): void {
    for (const message of chats.getState().conversations[id]?.messages ?? []) {
      turns.forget(message.id);
      if (message.unsaved) void outbox.remove(message.id);
    }
    chats.getState().removeConversation(id);
    reading.forget(id);
    resuming.close(id);
  }

  /** /new is asked for: a fresh one, unless the one there is unused. */
  function startNew(): void {
    const before = drafts.current();
    if (isUntouched(before)) return;
    assistants.begin();
    if (drafts.store.getState().created[before.id]) saving.moveDraft(before.id);
  }

  /** Gives a conversation a title, wherever it is shown; returns the one before. */
  function call(id: string, title: string): string | undefined {
    const home = places.homeNamed(id);
    if (!home) return undefined;
    const before = places.chatIn(home)?.meta.title;
    home.chats.getState().rename(home.id, title);
    return before;
  }

  /** What a reload finds at once: the words of the answer on /new, too. */
  function keepDraft(): void {
    const { id, streamingMessageId } = drafts.current();
    if (streamingMessageId) drafts.keep(id, streamingMessageId);
  }

  /** How many questions the server is not known to have: signing out deletes them. */
  function unsaved(): number {
    const running = turns.running.getState();
    let count = 0;
    for (const store of [chats, drafts.chats])
      for (const chat of Object.values(store.getState().conversations)) {
        if (saving.store.getState()[chat.id] || drafts.store.getState().moved[chat.id]) continue;
        if (chat.streamingMessageId && running[chat.streamingMessageId]?.answered) continue;
        count += chat.messages.filter((message) => message.unsaved && message.role === "user").length;
      }
    return count;
  }

  return {
    api,
    auth,
    chats,
    drafts,
    turns,
    list,
    records,
    tabs,
    written,
    workspace,
    isHere,
    unsaved,
    said,
    reach: reach.store,
    /** Says a sentence at the foot of the page for a few seconds. */
    say: (text: string) => said.setState({ text }),
    buds: assistants.store,
    choose: assistants.choose,
    saving: saving.store,
    opening: resuming.opening,
    open: resuming.open,
    refresh: resuming.refresh,
    /** Reads the messages above the first one on screen. */
    older: reading.older,
    /** Shows another version of a message, `beside` being the one on screen. Throws what the API throws. */
    showVersion: async (home: Home, messageId: string, beside: string): Promise<void> => {
      if (home.chats === chats) return reading.show(home.id, messageId, beside);
      const message = messageOf(places.chatIn(home)?.messages ?? [], messageId);
      if (message) home.chats.getState().choose(home.id, message);
    },
    ...asking,

    /** Takes up what earlier visits left. */
    start: (): void => {
      const kept = newChat.get()?.draft;
      const last = kept ? named(kept.meta.workspaceId) : lastWorkspace.get();
      workspace.setState({ current: last && workspaces.includes(last) ? last : null });
      assistants.greet();
      list.reset();
      resuming.takeUp();
      void assistants.load();
      window.addEventListener("pagehide", keepDraft, { signal: over });
    },

    /** Signs out here, in the other tabs, and at the issuer. */
    signOut: () => auth.signOut(() => Promise.all([list.settled(), turns.answered()])),

    end: (): void => {
      ending.abort();
      records.close();
      turns.end();
      list.end();
    },

    startNew,

    /** Whether /new is on screen. */
    showNew: (visible: boolean) => {
      drafts.store.setState({ visible });
      const { current, created } = drafts.store.getState();
      if (!visible && created[current]) saving.moveDraft(current);
    },

    /** The passage is over: /new is free for the next chat. */
    arrived: (conversationId: string) => {
      const { current, moved } = drafts.store.getState();
      if (moved[current] !== conversationId) return;
      assistants.begin();
      drafts.drop(current);
    },

    /** A chat the server has not named, from the list. */
    resumeNew: (draftId: string) => drafts.store.setState({ current: draftId }),

    /** Drops a chat the server has not named, and all that is kept of it. */
    discard: (draftId: string) => {
      for (const { id } of drafts.chats.getState().conversations[draftId]?.messages ?? []) {
        turns.forget(id);
        void outbox.remove(id);
      }
      written.set(draftId, "");
      if (drafts.store.getState().current === draftId) assistants.begin();
      drafts.drop(draftId);
    },

    /** Takes a chat off the list, and off /new while it is there still; for a while it can be brought back. */
    remove: (id: string) => {
      const { current, created } = drafts.store.getState();
      if (created[current] === id) startNew();
      list.hide(id);
    },

    rename: async (id: string, title: string) => {
      const before = call(id, title);
      try {
        await list.rename(id, title);
      } catch (error) {
        if (before !== undefined) call(id, before);
        throw error;
      }
    },

    switchWorkspace: (id: string | null) => {
      lastWorkspace.set(id);
      list.settle(); // what is being deleted is of the one before
      workspace.setState({ current: id });
      const before = drafts.current();
      assistants.begin(); // the chat on /new stays where it was begun
      if (drafts.store.getState().created[before.id]) saving.moveDraft(before.id);
      else if (isUntouched(before)) drafts.drop(before.id);
      list.reset();
      void list.refresh();
    },
  };
}
