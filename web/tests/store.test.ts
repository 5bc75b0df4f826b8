import { expect, it } from "vitest";
import { createChats } from "../src/core/store";
import { visibleBranch } from "../src/core/tree";
import { conversation, message } from "./made";

function streaming() {
  const chats = createChats();
  chats.getState().setConversation("c", conversation("c", [message("q", null)]));
  chats
    .getState()
    .addOptimisticMessage("c", message("a", "q", { role: "assistant", content: "", status: "streaming" }));
  chats.getState().startStreaming("c", "a");
  return { chats, chat: () => chats.getState().conversations.c };
}

it("streams a message from its first word to its end", () => {
  const { chats, chat } = streaming();
  expect(chat()).toMatchObject({ isStreaming: true, streamingMessageId: "a" });
  chats.getState().appendStream("c", "a", "Hel");
  chats.getState().appendStream("c", "a", "lo");
  expect(chat()?.messages[1]).toMatchObject({ content: "Hello", status: "streaming" });
  chats.getState().finishStreaming("c", "a", "Hello.");
  expect(chat()?.messages[1]).toMatchObject({ content: "Hello.", status: "complete" });
  expect(chat()?.isStreaming).toBe(false);
  expect(chat()).not.toHaveProperty("streamingMessageId");
});

it("leaves every other message the same object", () => {
  const { chats, chat } = streaming();
  const before = chat()?.messages[0];
  chats.getState().appendStream("c", "a", "x");
  expect(chat()?.messages[0]).toBe(before);
});

it("ignores words for a conversation that is gone", () => {
  const { chats } = streaming();
  chats.getState().removeConversation("c");
  const before = chats.getState().conversations;
  chats.getState().appendStream("c", "a", "late");
  expect(chats.getState().conversations).toBe(before);
});

it("shows a message that was just added, whatever its siblings", () => {
  const { chats, chat } = streaming();
  chats.getState().addOptimisticMessage("c", message("q2", null));
  expect(visibleBranch(chat() ?? conversation("", [])).map((one) => one.id)).toEqual(["q2"]);
});

it("adds a message once", () => {
  const { chats, chat } = streaming();
  chats.getState().addOptimisticMessage("c", message("q", null));
  expect(chat()?.messages).toHaveLength(2);
});
