// The components a person touches, over the client's real stores.

import { act, cleanup, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import type { Message } from "../src/core/types";
import { strings } from "../src/strings";
import { ChatInterface } from "../src/ui/ChatInterface";
import { ClientProvider } from "../src/ui/context";
import { ErrorBoundary } from "../src/ui/ErrorBoundary";
import { Routes } from "../src/ui/routes";
import { Sidebar } from "../src/ui/Sidebar";
import { Toast } from "../src/ui/Toast";
import { conversation, message } from "./made";
import { MemoryRouter } from "./router";

let client: Client;

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  vi.stubGlobal("fetch", () => Promise.reject(new TypeError("no network")));
  client = createClient();
});

const question = message("q", null, { content: "Why?" });
const answer = (fields: Partial<Message>) => message("a", "q", { role: "assistant", content: "Because.", ...fields });

function Breaks(): never {
  throw new Error("broken");
}

function showChat(...messages: Message[]) {
  client.chats.getState().setConversation("c", conversation("c", messages));
  const streaming = messages.find((one) => one.status === "streaming");
  if (streaming) client.chats.getState().startStreaming("c", streaming.id);
  render(
    <ClientProvider value={client}>
      <ChatInterface home={{ chats: client.chats, id: "c" }} />
    </ClientProvider>,
  );
  return screen.getByRole("textbox", { name: strings.message });
}
const branch = () => client.chats.getState().conversations.c?.messages.map((one) => one.content);

it("sends with Enter, makes a line with Shift+Enter, and sends nothing that is blank", async () => {
  const user = userEvent.setup();
  const box = showChat(question, answer({}));
  await user.type(box, "  {Enter}");
  expect(branch()).toEqual(["Why?", "Because."]);
  await user.type(box, "one{Shift>}{Enter}{/Shift}two{Enter}");
  expect(branch()).toEqual(["Why?", "Because.", "  one\ntwo", ""]);
  expect(box).toHaveProperty("value", "");
});

it("does not send the Enter that ends the composition of a character", async () => {
  const box = showChat(question, answer({}));
  await userEvent.type(box, "にほん");
  act(() => {
    box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, isComposing: true }));
  });
  expect(branch()).toEqual(["Why?", "Because."]);
});

it("edits the last message with the arrow up, only from an empty box, and gives up with Escape", async () => {
  const user = userEvent.setup();
  const box = showChat(question, answer({}));
  await user.type(box, "x{ArrowUp}");
  expect(screen.queryByRole("textbox", { name: strings.editLabel })).toBeNull();
  await user.type(box, "{Backspace}{ArrowUp}");
  const editor = screen.getByRole("textbox", { name: strings.editLabel });
  expect(editor).toHaveProperty("value", "Why?");
  await user.type(editor, "{Escape}");
  expect(screen.queryByRole("textbox", { name: strings.editLabel })).toBeNull();
  expect(document.activeElement).toBe(box);
});

it("takes no second message while an answer is under way, and keeps what is written", async () => {
  const box = showChat(question, answer({ status: "streaming" }));
  await userEvent.type(box, "and{Enter}");
  expect(branch()).toEqual(["Why?", "Because."]);
  expect(box).toHaveProperty("value", "and");
  expect(screen.getByRole("button", { name: strings.stop })).toBeTruthy();
  expect(screen.queryByRole("button", { name: strings.regenerate })).toBeNull();
});

it.each([
  ["model_stalled", true, true],
  ["quota_exceeded", false, false],
  ["model_refused", false, true],
])("says what %s means, and offers another try where one helps", (code, retryable, offered) => {
  showChat(question, answer({ status: "failed", error: { code, message: "", retryable } }));
  expect(screen.getByText(strings.errors[code] ?? "")).toBeTruthy();
  expect(screen.queryAllByRole("button", { name: strings.retry })).toHaveLength(offered ? 1 : 0);
});

it("says when it can be tried again, until that time has come", () => {
  const error = { code: "quota_exceeded", message: "", retryable: true };
  const retryAt = "2999-12-31T12:00:00Z";
  showChat(question, answer({ status: "failed", error: { ...error, retryAt } }));
  expect(screen.getByText(/Your quota is used up.* 2999/)).toBeTruthy();
  cleanup();
  showChat(question, answer({ status: "failed", error: { ...error, retryAt: "2001-01-01T12:00:00Z" } }));
  expect(screen.getByText(strings.errors.quota_exceeded ?? "")).toBeTruthy();
});

it("says the server's own sentence for an error it does not know", () => {
  showChat(question, answer({ status: "failed", error: { code: "new_one", message: "Out of ink.", retryable: true } }));
  expect(screen.getByText("Out of ink.")).toBeTruthy();
});

it("keeps what breaks apart from the rest, with a sentence and a way on", () => {
  vi.spyOn(console, "error").mockImplementation(() => {}); // React tells of what a boundary has caught
  render(
    <>
      <ErrorBoundary>
        <Breaks />
      </ErrorBoundary>
      <p>the rest</p>
    </>,
  );
  expect(screen.getByRole("alert").textContent).toContain(strings.broken);
  expect(screen.getByRole("button", { name: strings.reload })).toBeTruthy();
  expect(screen.getByText("the rest")).toBeTruthy();
});

it("looks after the chat when its reader comes back to the tab", () => {
  const refresh = vi.spyOn(client, "refresh");
  render(
    <ClientProvider value={client}>
      <MemoryRouter initialEntries={["/chat/c"]}>
        <Routes />
      </MemoryRouter>
    </ClientProvider>,
  );
  expect(refresh).not.toHaveBeenCalled();
  document.dispatchEvent(new Event("visibilitychange"));
  expect(refresh).toHaveBeenCalledWith("c");
});

function showList() {
  render(
    <ClientProvider value={client}>
      <MemoryRouter>
        <Sidebar ref={null} open={false} search={null} onClose={() => {}} onNew={() => {}} />
      </MemoryRouter>
    </ClientProvider>,
  );
}

it("shows which chats are under way, and finds chats by their titles", async () => {
  const at = new Date().toISOString();
  for (const title of ["Pears", "Apples"])
    client.list.touch({ id: title, title, budId: "default", model: "m", createdAt: at, updatedAt: at });
  client.turns.running.setState({ t: { place: "Apples", phase: "streaming", answered: true } });
  showList();
  expect(within(screen.getByRole("link", { name: /Apples/ })).getByText(strings.underWay)).toBeTruthy();
  expect(within(screen.getByRole("link", { name: /Pears/ })).queryByText(strings.underWay)).toBeNull();
  await userEvent.type(screen.getByRole("searchbox"), "pEA");
  expect(screen.queryByRole("link", { name: /Apples/ })).toBeNull();
  expect(screen.getByRole("link", { name: /Pears/ })).toBeTruthy();
  await userEvent.type(screen.getByRole("searchbox"), "{Escape}");
  expect(screen.getByRole("link", { name: /Apples/ })).toBeTruthy();
});

it("finds a chat without a name, and deletes it", async () => {
  client.drafts.restore(conversation("draft", [question, answer({ status: "failed" })]), false);
  showList();
  const box = screen.getByRole("searchbox");
  await userEvent.type(box, "A ch");
  expect(screen.getByRole("link", { name: "A chat" })).toBeTruthy();
  await userEvent.type(box, "x");
  expect(screen.queryByRole("link", { name: "A chat" })).toBeNull();
  expect(screen.getByText(strings.noMatch("A chx"))).toBeTruthy();
  await userEvent.clear(box);
  await userEvent.click(screen.getByRole("button", { name: strings.actions("A chat") }));
  await userEvent.click(screen.getByRole("menuitem", { name: strings.remove }));
  expect(screen.queryByRole("link", { name: "A chat" })).toBeNull();
});

it("shows that the chat on /new is under way once the list has its name", () => {
  const at = new Date().toISOString();
  client.list.touch({ id: "named", title: "Pears", budId: "default", model: "m", createdAt: at, updatedAt: at });
  client.drafts.store.setState({ created: { draft: "named" } });
  client.turns.running.setState({ t: { place: "draft", phase: "streaming", answered: true } });
  showList();
  expect(within(screen.getByRole("link", { name: /Pears/ })).getByText(strings.underWay)).toBeTruthy();
});

it("says that a chat could not be deleted", () => {
  render(
    <ClientProvider value={client}>
      <Toast />
    </ClientProvider>,
  );
  const kept = { id: "c", title: "Pears", budId: "default", model: "m", createdAt: "", updatedAt: "" };
  act(() => client.list.store.setState({ kept }));
  expect(screen.getByText(strings.removeFailed("Pears"))).toBeTruthy();
});

it("says so when the clipboard refuses", async () => {
  const user = userEvent.setup();
  vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new DOMException("denied", "NotAllowedError"));
  showChat(question);
  render(
    <ClientProvider value={client}>
      <Toast />
    </ClientProvider>,
  );
  await user.click(screen.getByRole("button", { name: strings.copy }));
  expect(screen.getByText(strings.copyFailed)).toBeTruthy();
});
