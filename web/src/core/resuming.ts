// Opening a chat, and taking up what an earlier visit left: the answer on /new, and all that the outbox holds.

import { createStore } from "zustand/vanilla";
import { bodyOf, titleOf } from "./bodies";
import type { Drafts, NewChat } from "./drafts";
import { newId } from "./ids";
import type { Outbox, OutboxEntry } from "./outbox";
import { backoff, pause } from "./pause";
import { ApiError } from "./problems";
import { hanging, type Reading } from "./reading";
import type { Saving } from "./saving";
import type { Slot } from "./storage";
import type { Chats } from "./store";
import { messageOf } from "./tree";
import type { Home, Turns } from "./turns";
import type { Conversation, Message } from "./types";

// What was written before anyone signed in, in a tab that is gone, waits so long for its writer; then it is nobody's.
const UNCLAIMED_MS = 24 * 3_600_000;
// So long does the server know a turn: a repeat after that would be a second one. What is older is sent only when asked for.
const FRESH_MS = 24 * 3_600_000;

export type Opening = "loading" | "missing" | "failed";

interface Parts {
  chats: Chats;
  drafts: Drafts;
  turns: Turns;
  outbox: Outbox;
  saving: Saving;
  reading: Reading;
  newChat: Slot<NewChat>;
  /** What was kept before anyone signed in; null where nobody does. */
  nobodys: { newChat: Slot<NewChat>; outbox: Outbox } | null;
  over: AbortSignal;
}

export function createResuming(parts: Parts) {
  const { chats, drafts, turns, outbox, saving, reading, newChat, nobodys, over } = parts;
  /** The conversations that are not in the store, and why. */
  const opening = createStore<Record<string, Opening>>()(() => ({}));

  /** The attempts to open a conversation; asking for it again takes their place. */
  const trying = new Map<string, AbortController>();

  /**
   * Puts a conversation into the store if it is not there, with what this browser still holds of it. What may succeed later is
   * tried until it does: the page says meanwhile that it did not, and what the outbox holds for the chat must not wait for a visit.
   */
  async function open(id: string): Promise<void> {
    if (chats.getState().conversations[id] || opening.getState()[id] === "loading") return;
    const attempts = new AbortController();
    trying.get(id)?.abort();
    trying.set(id, attempts);
    const signal = AbortSignal.any([attempts.signal, over]);
    opening.setState({ [id]: "loading" });
    for (let attempt = 0; ; attempt++) {
      try {
        if (attempt > 0) await pause(backoff(attempt - 1), signal);
        await load(id, signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const said = error instanceof ApiError ? error : null;
        if (said?.status === 404) return opening.setState({ [id]: "missing" });
        if (said?.retryable === false || attempt > 0) opening.setState({ [id]: "failed" });
        if (said?.retryable === false) return;
      }
    }
  }

  async function load(id: string, signal: AbortSignal): Promise<void> {
    const [newest, all] = await Promise.all([reading.first(id), outbox.all()]);
    const held = all.filter((entry) => entry.conversationId === id);
    signal.throwIfAborted();
    const hangs = ({ messages: [top] }: OutboxEntry) =>
      top?.parentId === null ? newest.cursor : top && !messageOf(newest.messages, top.parentId);
    const { meta, messages, cursor } = held.some(hangs) ? await reading.whole(id) : newest;
    signal.throwIfAborted();
    const isStored = ({ turnId }: OutboxEntry) => {
      const answer = messageOf(messages, turnId);
      return answer !== undefined && !isUnderWay(answer);
    };
    for (const { turnId } of held.filter(isStored)) void outbox.remove(turnId);
    const entries = held.filter((entry) => !isStored(entry));
    const merged = [...messages];
    for (const message of entries.flatMap(shownOf)) if (!messageOf(merged, message.id)) merged.push(message);
    const older = newest.messages === messages ? hanging(messages, messages.at(-1), cursor) : undefined;
    if (!chats.getState().conversations[id])
      chats
        .getState()
        .setConversation(id, { id, messages: [...merged], isStreaming: false, meta, ...(older ? { older } : {}) });
    reading.note(id);
    for (const message of merged) if (isUnderWay(message)) follow(id, message.id, entries);
    const { [id]: _, ...others } = opening.getState();
    opening.setState(others, true);
  }

  /** Adds what other tabs and devices have written to a chat that is shown, so that the next message follows it. */
  async function refresh(id: string): Promise<void> {
    if (chats.getState().conversations[id]?.isStreaming !== false) return;
    const messages = await reading.changes(id).catch(() => []); // a message asked for now says what is wrong, if something is
    for (const message of messages) if (isUnderWay(message)) follow(id, message.id, []);
  }

  /** The conversation is gone: it is not there, and not opened any more. */
  function close(id: string): void {
    trying.get(id)?.abort();
    opening.setState({ [id]: "missing" });
  }

  function follow(id: string, turnId: string, entries: readonly OutboxEntry[]): void {
    const body = entries.find((entry) => entry.turnId === turnId && isFresh(entry))?.body ?? null;
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

  /**
   * What this tab wrote before it was known that people sign in here is shown to who signs in, and sent only when they ask for it:
   * who wrote it is not known. What nobody claims does not stay.
   */
  function claim(from: { newChat: Slot<NewChat> }): NewChat | null {
    const draft = from.newChat.get()?.draft;
    if (!draft) return null;
    from.newChat.set(null);
    const claimed = { draft, turnId: null };
    newChat.set(claimed);
    return claimed;
  }

  async function claimRows(from: { outbox: Outbox }, draftId: string | undefined): Promise<void> {
    for (const entry of await from.outbox.all()) {
      const isClaimed = draftId !== undefined && entry.draftId === draftId;
      if (isClaimed) await outbox.put({ ...entry, over: true });
      else if (entry.at < Date.now() - UNCLAIMED_MS) await from.outbox.remove(entry.turnId);
    }
  }

  async function takeUpOutbox(claimed: string | undefined): Promise<void> {
    if (nobodys) await claimRows(nobodys, claimed);
    if (over.aborted) return;
    // Locks are refused where storage is: then there is nothing here that another tab could hold.
    const locks = await navigator.locks?.query().catch(() => null);
    const held = new Set(locks?.held?.map((lock) => lock.name));
    for (const entry of await outbox.all()) {
      if (over.aborted) return;
      if (turns.has(entry.turnId) || held.has(`turn:${entry.turnId}`)) continue;
      const isWaiting = !entry.over && isFresh(entry);
      if (entry.conversationId) {
        if (!entry.over) void open(entry.conversationId);
      } else if (entry.draftId && !drafts.chats.getState().conversations[entry.draftId]) {
        drafts.restore(draftFrom(entry), false);
        if (isWaiting) resumeDraft(entry.draftId, entry.turnId);
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
      const claimed = nobodys && claim(nobodys);
      const kept = claimed ?? newChat.get();
      if (kept) {
        const asked = kept.turnId ? messageOf(kept.draft.messages, kept.turnId) : undefined;
        const turnId = asked && isFresh({ at: Date.parse(asked.createdAt) }) ? asked.id : null;
        drafts.restore(asLeft(kept.draft, turnId), true);
        if (asked && (turnId || !isUnderWay(asked))) resumeDraft(kept.draft.id, asked.id);
      }
      void takeUpOutbox(claimed?.draft.id);
    },
  };
}

const isUnderWay = (message: Message) => message.role === "assistant" && message.status === "streaming";

const isFresh = ({ at }: { at: number }) => at > Date.now() - FRESH_MS;

/** What the entry shows: an answer that nobody goes on with has ended. */
function shownOf(entry: OutboxEntry): Message[] {
  const turnId = entry.over || !isFresh(entry) ? null : entry.turnId;
  return entry.messages.map((message) => ended(message, turnId));
}

/** The chat as a visit left it; its turn under way is taken up, if there is one. */
function asLeft(chat: Conversation, turnId: string | null): Conversation {
  const { streamingMessageId: _, ...rest } = chat;
  return { ...rest, isStreaming: false, messages: chat.messages.map((message) => ended(message, turnId)) };
}

function ended(message: Message, turnId: string | null): Message {
  return message.status === "streaming" && message.id !== turnId ? { ...message, status: "interrupted" } : message;
}

function draftFrom(entry: OutboxEntry): Conversation {
  const now = new Date(entry.at).toISOString();
  const question = entry.body.messages.find((message) => message.role === "user")?.content ?? "";
  return {
    id: entry.draftId ?? newId(),
    messages: shownOf(entry),
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
