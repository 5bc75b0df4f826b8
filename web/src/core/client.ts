// The client without its pages: the stores, the turns, and everything a person can do.

import { createStore } from "zustand/vanilla";
import { type Api, createApi } from "./api";
import { createAsking } from "./asking";
import { createAssistants } from "./assistants";
import { createAuth } from "./auth";
import { createConversations } from "./conversations";
import { createDrafts, isUntouched } from "./drafts";
import { createOutbox, type Outbox } from "./outbox";
import { createPlaces } from "./places";
import { createResuming } from "./resuming";
import { createSaving } from "./saving";
import { remembered, written } from "./session";
import { createChats } from "./store";
import { createTurns, type Turns } from "./turns";

export type Client = ReturnType<typeof createClient>;

export function createClient(outbox: Outbox = createOutbox()) {
  const auth = createAuth(() => api.config());
  const api: Api = createApi(auth.tokens);
  /** Whose things are kept in this browser: the signed-in user's, or nobody's in particular. */
  const owner = () => auth.store.getState().user;
  const workspace = createStore<{ current: string | null }>()(() => ({ current: null }));
  const chosenWorkspace = () => workspace.getState().current;

  const chats = createChats();
  const drafts = createDrafts(owner);
  const places = createPlaces(chats, drafts);
  const assistants = createAssistants(api, drafts);
  const list = createConversations(api, owner, chosenWorkspace, forget, (id) => void resuming.open(id));
  const saving = createSaving({
    api,
    chats,
    drafts,
    places,
    assistants,
    list,
    outbox,
    owner,
    turns: (): Turns => turns,
  });
  const turns = createTurns(api, saving.listener);
  const resuming = createResuming({ api, chats, drafts, turns, outbox, saving, owner });
  const asking = createAsking({ api, drafts, places, turns, list, outbox, saving, owner, workspace: chosenWorkspace });

  /** The conversation was deleted: nothing of it stays here. */
  function forget(id: string): void {
    for (const message of chats.getState().conversations[id]?.messages ?? []) {
      turns.forget(message.id);
      if (message.unsaved) void outbox.remove(message.id);
    }
    chats.getState().removeConversation(id);
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

  return {
    api,
    auth,
    chats,
    drafts,
    turns,
    list,
    workspace,
    buds: assistants.store,
    choose: assistants.choose,
    saving: saving.store,
    opening: resuming.opening,
    open: resuming.open,
    refresh: resuming.refresh,
    ...asking,

    /** Begins the visit; returns the path to show when it is another one. */
    start: async (): Promise<string | null> => {
      assistants.greet();
      const path = await auth.start();
      const { workspaces } = auth.store.getState();
      const last = remembered<string>("workspace").get();
      workspace.setState({ current: last && workspaces.includes(last) ? last : null });
      list.reset();
      resuming.takeUp();
      void assistants.load();
      window.addEventListener("pagehide", keepDraft);
      return path;
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
      remembered<string>("workspace").set(id);
      list.settle(); // what is being deleted is of the one before
      workspace.setState({ current: id });
      list.reset();
      void list.refresh();
    },
  };
}
