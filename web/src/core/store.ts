// The chats in memory: one shape for what the server stores and for what is only local yet. Knows nothing of React.

import { createStore, type StoreApi } from "zustand/vanilla";
import { messageOf, ROOT } from "./tree";
import type { Conversation, Message } from "./types";

export interface ChatStore {
  conversations: Record<string, Conversation>;
  setConversation: (id: string, data: Conversation) => void;
  addOptimisticMessage: (conversationId: string, message: Message) => void;
  startStreaming: (conversationId: string, messageId: string) => void;
  appendStream: (conversationId: string, messageId: string, content: string) => void;
  finishStreaming: (
    conversationId: string,
    messageId: string,
    finalContent: string,
    outcome?: Partial<Message>,
  ) => void;
  appendReasoning: (conversationId: string, messageId: string, content: string) => void;
  choose: (conversationId: string, message: Message) => void;
  rename: (conversationId: string, title: string) => void;
  markSaved: (conversationId: string, ids: readonly string[]) => void;
  removeMessages: (conversationId: string, ids: readonly string[]) => void;
  removeConversation: (conversationId: string) => void;
}

export type Chats = StoreApi<ChatStore>;

export function createChats(): Chats {
  return createStore<ChatStore>()((set) => {
    // A change of a conversation that is not there (deleted meanwhile) is no change.
    const change = (id: string, next: (before: Conversation) => Conversation) =>
      set(({ conversations }) => {
        const before = conversations[id];
        return before ? { conversations: { ...conversations, [id]: next(before) } } : { conversations };
      });
    const changeMessage = (id: string, messageId: string, next: (before: Message) => Message) =>
      change(id, (before) => ({
        ...before,
        messages: before.messages.map((message) => (message.id === messageId ? next(message) : message)),
      }));
    return {
      conversations: {},
      setConversation: (id, data) => set(({ conversations }) => ({ conversations: { ...conversations, [id]: data } })),
      addOptimisticMessage: (id, message) =>
        change(id, (before) =>
          messageOf(before.messages, message.id)
            ? before
            : chosen({ ...before, messages: [...before.messages, message] }, message),
        ),
      startStreaming: (id, messageId) =>
        change(id, (before) => ({ ...before, isStreaming: true, streamingMessageId: messageId })),
      appendStream: (id, messageId, content) =>
        changeMessage(id, messageId, (message) => ({ ...message, content: message.content + content })),
      appendReasoning: (id, messageId, content) =>
        changeMessage(id, messageId, (message) => ({ ...message, reasoning: (message.reasoning ?? "") + content })),
      finishStreaming: (id, messageId, finalContent, outcome = {}) => {
        changeMessage(id, messageId, (message) => ({
          ...message,
          status: "complete",
          ...outcome,
          content: finalContent,
        }));
        change(id, (before) => (before.streamingMessageId === messageId ? settled(before) : before));
      },
      choose: (id, message) => change(id, (before) => chosen(before, message)),
      rename: (id, title) => change(id, (before) => ({ ...before, meta: { ...before.meta, title } })),
      markSaved: (id, ids) =>
        change(id, (before) => ({
          ...before,
          messages: before.messages.map((message) =>
            message.unsaved && ids.includes(message.id) ? saved(message) : message,
          ),
        })),
      removeMessages: (id, ids) =>
        change(id, (before) => ({
          ...before,
          messages: before.messages.filter((message) => !ids.includes(message.id)),
        })),
      removeConversation: (id) => set(({ conversations: { [id]: _, ...conversations } }) => ({ conversations })),
    };
  });
}

function chosen(before: Conversation, message: Message): Conversation {
  const choice = { ...before.meta.chosen, [message.parentId ?? ROOT]: message.id };
  return { ...before, meta: { ...before.meta, chosen: choice } };
}

function saved({ unsaved: _, ...message }: Message): Message {
  return message;
}

function settled({ streamingMessageId: _, ...before }: Conversation): Conversation {
  return { ...before, isStreaming: false };
}
