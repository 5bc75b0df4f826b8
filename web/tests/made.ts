// Messages and conversations for tests.

import type { Conversation, Message } from "../src/core/types";

let count = 0;

export function message(id: string, parentId: string | null, fields: Partial<Message> = {}): Message {
  const createdAt = new Date(1_700_000_000_000 + count++).toISOString();
  return { id, parentId, role: "user", content: id, status: "complete", createdAt, ...fields };
}

export function conversation(id: string, messages: Message[]): Conversation {
  const meta = { title: "A chat", workspaceId: null, budId: "default", model: null, createdAt: "", updatedAt: "" };
  return { id, messages, isStreaming: false, meta };
}
