// What a person asks: a message, an edited one, another answer, a stop. Shown at once, kept in the outbox, then sent.

import type { Api } from "./api";
import { bodyOf, titleOf } from "./bodies";
import type { Conversations } from "./conversations";
import type { Drafts } from "./drafts";
import { newId } from "./ids";
import type { Outbox } from "./outbox";
import { nextAttempt } from "./pause";
import type { Places } from "./places";
import { ApiError } from "./problems";
import type { Reading } from "./reading";
import type { Saving } from "./saving";
import { lastSaved, messageOf, unsavedEnd, visibleBranch } from "./tree";
import type { Home, Turns } from "./turns";
import type { Conversation, Message } from "./types";

const STOP_TRIES = 8;
const UNKNOWN_TRIES = 3; // the claim of a turn is written beside the model call, so a stop may come too early

interface Parts {
  api: Api;
  drafts: Drafts;
  places: Places;
  turns: Turns;
  list: Conversations;
  outbox: Outbox;
  saving: Saving;
  reading: Reading;
}

export function createAsking({ api, drafts, places, turns, list, outbox, saving, reading }: Parts) {
  const { homeOf, chatIn, isDraft, conversationIdOf } = places;

  /** Shows the question and a place for its answer, then asks. */
  function ask(home: Home, question: Message): void {
    const answer = optimistic("assistant", "", question.id);
    const turnId = answer.id;
    const { addOptimisticMessage } = home.chats.getState();
    addOptimisticMessage(home.id, question);
    addOptimisticMessage(home.id, answer);
    const chat = chatIn(home);
    if (!chat) return;
    const conversationId = conversationIdOf(home);
    const body = bodyOf(chat, turnId, question.id, conversationId ? lastSaved(chat.messages, question.id) : null);
    turns.run({ turnId, conversationId, body, follow: false }, home);
    const draftId = isDraft(home) ? home.id : null;
    if (draftId) {
      const first = body.messages.find((message) => message.role === "user");
      home.chats.getState().rename(draftId, titleOf(first?.content ?? ""));
      drafts.keep(draftId, turnId);
    }
    const messages = draftId ? chat.messages : unsavedEnd(chat.messages, turnId);
    void outbox.put({ turnId, conversationId, draftId, body, messages, over: false, at: Date.now() });
    // A new chat is kept whole with its latest turn: what earlier ones kept of it would only bring it back once it has its name.
    if (draftId) for (const { id } of chat.messages) if (id !== turnId) void outbox.remove(id);
    if (!conversationId) return;
    list.keep(conversationId);
    reading.note(conversationId);
    saving.touch(conversationId, chat);
  }

  /** Whether a message can be sent there now: one turn at a time, and a chat must have its name before the second. */
  function isReady(home: Home): boolean {
    const chat = chatIn(home);
    return chat !== undefined && !chat.isStreaming && !saving.store.getState()[home.id];
  }

  /**
   * The message that a new one follows. An answer that was not saved is taken along as a message like any other, under an id of
   * its own: its turn's id may still become an answer of the server's. One without a word is left out. A question that was refused
   * for good is not taken along: everything that followed it would be refused, too. It stays as another version.
   */
  function leafOf(home: Home, chat: Conversation): string | null {
    const last = visibleBranch(chat).at(-1);
    if (!last?.unsaved || last.role !== "assistant" || !last.parentId) return last?.id ?? null;
    const { addOptimisticMessage, removeMessages } = home.chats.getState();
    void outbox.remove(last.id);
    const question = messageOf(chat.messages, last.parentId);
    if (question?.unsaved && last.error?.retryable === false) return question.parentId;
    removeMessages(home.id, [last.id]);
    if (!last.content) return last.parentId;
    const { error: _, ...kept } = last;
    const copy: Message = { ...kept, id: newId(), status: "complete" };
    addOptimisticMessage(home.id, copy);
    return copy.id;
  }

  /** Whether what the message follows is here; if not, it is read, and whoever asks again finds it. */
  function hangsHere(home: Home, { parentId }: Message): boolean {
    const isHere = parentId === null || messageOf(chatIn(home)?.messages ?? [], parentId) !== undefined;
    if (!isHere) reading.older(home.id).catch(() => {}); // the page says above the messages that it failed
    return isHere;
  }

  return {
    send: (id: string, text: string): boolean => {
      const home = homeOf(id);
      const chat = home && chatIn(home);
      if (!home || !chat || !isReady(home) || !text.trim()) return false;
      ask(home, optimistic("user", text, leafOf(home, chat)));
      return true;
    },

    edit: (id: string, messageId: string, text: string): boolean => {
      const home = homeOf(id);
      const before = home && messageOf(chatIn(home)?.messages ?? [], messageId);
      if (!home || !before || !isReady(home) || !text.trim() || !hangsHere(home, before)) return false;
      ask(home, optimistic("user", text, before.parentId));
      return true;
    },

    /** Another answer to the same question. An answer without a word makes room for it. */
    again: (id: string, answerId: string): boolean => {
      const home = homeOf(id);
      const messages = (home && chatIn(home)?.messages) || [];
      const answer = messageOf(messages, answerId);
      const question = answer?.parentId ? messageOf(messages, answer.parentId) : undefined;
      if (home && answer && !hangsHere(home, answer)) return false;
      if (!home || !answer || question?.role !== "user" || !isReady(home)) return false;
      const isEmpty = !answer.content && (answer.status === "failed" || answer.unsaved === true);
      if (isEmpty) home.chats.getState().removeMessages(id, [answerId]);
      ask(home, question);
      if (isEmpty) void outbox.remove(answerId);
      return true;
    },

    /** Ends the turn wherever it runs; one that has not reached the server ends here. */
    stop: async (turnId: string): Promise<void> => {
      turns.stopping(turnId, true);
      let reached = false;
      for (let attempt = 0; turns.has(turnId) && attempt < STOP_TRIES; attempt = await nextAttempt(attempt, reached)) {
        try {
          await api.stop(turnId);
          return;
        } catch (error) {
          reached = error instanceof ApiError;
          const unheard = !(error instanceof ApiError) || (error.status === 404 && attempt >= UNKNOWN_TRIES);
          if (unheard && turns.withdraw(turnId)) {
            saving.keep(turnId);
            return;
          }
          if (error instanceof ApiError && !error.retryable && error.status !== 404) break;
        }
      }
      turns.stopping(turnId, false);
    },
  };
}

function optimistic(role: "user" | "assistant", content: string, parentId: string | null): Message {
  const status = role === "user" ? "complete" : "streaming";
  return { id: newId(), parentId, role, content, status, createdAt: new Date().toISOString(), unsaved: true };
}
