// Opening a chat, and taking up what an earlier visit left: the answer on /new, and all that the outbox holds.

import { createStore } from "zustand/vanilla";
import type { Api } from "./api";
import { bodyOf, titleOf } from "./bodies";
import type { Drafts } from "./drafts";
import { newId } from "./ids";
import type { Outbox, OutboxEntry } from "./outbox";
import { backoff, pause } from "./pause";
import { ApiError } from "./problems";
import type { Saving } from "./saving";
import { loadNewChat, saveNewChat } from "./session";
import type { Chats } from "./store";
import { messageOf } from "./tree";
import type { Home, Turns } from "./turns";
import type { Conversation, Message } from "./types";

// What was written before anyone signed in, in a tab that is gone, waits so long for its writer; then it is nobody's.
const UNCLAIMED_MS = 24 * 3_600_000;

export type Opening = "loading" | "missing" | "failed";

interface Parts {
  api: Api;
  chats: Chats;
  drafts: Drafts;
  turns: Turns;
  outbox: Outbox;
  saving: Saving;
  owner: () => string;
}

export function createResuming({ api, chats, drafts, turns, outbox, saving, owner }: Parts) {
  /** The conversations that are not in the store, and why. */
  const opening = createStore<Record<string, Opening>>()(() => ({}));

  /** The attempts to open a conversation; asking for it again takes their place. */
  const trying = new Map<string, AbortController>();

  const ownEntries = async () => (await outbox.all()).filter((entry) => entry.owner === owner());

  /**
   * Puts a conversation into the store if it is not there, with what this browser still holds of it. What may succeed later is
   * tried until it does: the page says meanwhile that it did not, and what the outbox holds for the chat must not wait for a visit.
   */
  async function open(id: string): Promise<void> {
    if (chats.getState().conversations[id] || opening.getState()[id] === "loading") return;
    const attempts = new AbortController();
    trying.get(id)?.abort();
    trying.set(id, attempts);
    opening.setState({ [id]: "loading" });
    for (let attempt = 0; ; attempt++) {
      try {
        if (attempt > 0) await pause(backoff(attempt - 1), attempts.signal);
        await load(id, attempts.signal);
        return;
      } catch (error) {
        if (attempts.signal.aborted) return;
        const said = error instanceof ApiError ? error : null;
        if (said?.status === 404) return opening.setState({ [id]: "missing" });
        if (said?.retryable === false || attempt > 0) opening.setState({ [id]: "failed" });
        if (said?.retryable === false) return;
      }
    }
  }

  async function load(id: string, signal: AbortSignal): Promise<void> {
    const { meta, messages } = await api.conversation(id);
    const entries = (await ownEntries()).filter((entry) => entry.conversationId === id);
    signal.throwIfAborted();
    const merged = [...messages];
    for (const message of entries.flatMap((entry) => entry.messages))
      if (!messageOf(merged, message.id)) merged.push(message);
    if (!chats.getState().conversations[id])
      chats.getState().setConversation(id, { id, messages: [...merged], isStreaming: false, meta });
    for (const message of merged) if (isUnderWay(message)) follow(id, message.id, entries);
    const { [id]: _, ...others } = opening.getState();
    opening.setState(others, true);
  }

  /** Adds what other tabs and devices have written to a chat that is shown, so that the next message follows it. */
  async function refresh(id: string): Promise<void> {
    const before = chats.getState().conversations[id];
    if (!before || before.isStreaming) return;
    const messages = await api.conversation(id).then(
      (stored) => stored.messages.filter((message) => !messageOf(before.messages, message.id)),
      () => [], // a message asked for now says what is wrong, if something is
    );
    // What was asked here meanwhile is not overruled.
    if (!messages.length || chats.getState().conversations[id] !== before) return;
    chats.getState().setConversation(id, { ...before, messages: [...before.messages, ...messages] });
    for (const message of messages) if (isUnderWay(message)) follow(id, message.id, []);
  }

  /** The conversation is gone: it is not there, and not opened any more. */
  function close(id: string): void {
    trying.get(id)?.abort();
    opening.setState({ [id]: "missing" });
  }

  function follow(id: string, turnId: string, entries: readonly OutboxEntry[]): void {
    const body = entries.find((entry) => entry.turnId === turnId)?.body ?? null;
    turns.run({ turnId, conversationId: id, body, follow: true }, { chats, id });
  }

  function resumeDraft(draftId: string, turnId: string): void {
    const home: Home = { chats: drafts.chats, id: draftId };
    const chat = drafts.chats.getState().conversations[draftId];
    const answer = chat && messageOf(chat.messages, turnId);
    if (!chat || !answer?.parentId) return;
    const body = bodyOf(chat, turnId, answer.parentId, null);
    if (isUnderWay(answer)) turns.run({ turnId, conversationId: null, body, follow: true }, home);
    else void saving.awaitStored(home, turnId);
  }

  /** Where people sign in, what this tab wrote before belongs to who signs in here now; what nobody claims does not stay. */
  async function claim(draftId: string | null): Promise<void> {
    for (const entry of await outbox.all()) {
      if (entry.owner) continue;
      if (draftId && entry.draftId === draftId) await outbox.put({ ...entry, owner: owner() });
      else if (entry.at < Date.now() - UNCLAIMED_MS) await outbox.remove(entry.turnId);
    }
  }

  async function takeUpOutbox(claimed: string | null): Promise<void> {
    if (owner()) await claim(claimed);
    const held = new Set((await navigator.locks?.query())?.held?.map((lock) => lock.name));
    for (const entry of await ownEntries()) {
      if (turns.has(entry.turnId) || held.has(`turn:${entry.turnId}`)) continue;
      if (entry.conversationId) {
        if (!entry.over) void open(entry.conversationId);
      } else if (entry.draftId && !drafts.chats.getState().conversations[entry.draftId]) {
        drafts.restore(draftFrom(entry), false);
        if (!entry.over) resumeDraft(entry.draftId, entry.turnId);
      }
    }
  }

  return {
    opening,
    open,
    refresh,
    close,

    /** The chat this tab had on /new, at once; everything else the outbox holds, as soon as it is read. */
    takeUp: (): void => {
      const session = loadNewChat();
      const unclaimed = session?.owner === "" && owner() ? session.draft.id : null;
      if (session && (session.owner === owner() || unclaimed)) {
        if (unclaimed) saveNewChat({ ...session, owner: owner() });
        drafts.restore(session.draft, true);
        if (session.turnId) resumeDraft(session.draft.id, session.turnId);
      }
      void takeUpOutbox(unclaimed);
    },
  };
}

const isUnderWay = (message: Message) => message.role === "assistant" && message.status === "streaming";

function draftFrom(entry: OutboxEntry): Conversation {
  const now = new Date(entry.at).toISOString();
  const question = entry.body.messages.find((message) => message.role === "user")?.content ?? "";
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
