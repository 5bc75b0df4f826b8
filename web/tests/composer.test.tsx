// The box to write in: what is sent from it, what ends from it, and what it keeps.

import { act, fireEvent, render, screen, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import type { Message } from "../src/core/types";
import { strings } from "../src/strings";
import { ChatInterface } from "../src/ui/ChatInterface";
import { ClientProvider } from "../src/ui/context";
import { conversation, message } from "./made";

let client: Client;

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  vi.stubGlobal("fetch", () => new Promise(() => {})); // a server that takes its time
  client = createClient();
});

afterEach(() => vi.restoreAllMocks());

const question = message("q", null, { content: "Why?" });
const answer = (fields: Partial<Message> = {}) =>
  message("a", "q", { role: "assistant", content: "Because.", ...fields });

function showChat(...messages: Message[]) {
  client.chats.getState().setConversation("c", conversation("c", messages));
  const streaming = messages.find((one) => one.status === "streaming");
  if (streaming) client.chats.getState().startStreaming("c", streaming.id);
  return render(
    <ClientProvider value={client}>
      <ChatInterface home={{ chats: client.chats, id: "c" }} />
    </ClientProvider>,
  );
}
const box = () => screen.getByRole("textbox", { name: strings.message });
const button = (name: string) => screen.getByRole("button", { name });
const finish = () => act(() => client.chats.getState().finishStreaming("c", "a", "Because."));
const questions = () =>
  client.chats
    .getState()
    .conversations.c?.messages.filter((one) => one.role === "user")
    .map((one) => one.content);

it("sends nothing by a press on Stop that ends after the answer", async () => {
  const user = userEvent.setup();
  showChat(question, answer({ status: "streaming" }));
  await user.type(box(), "half a thou");
  await user.pointer({ keys: "[MouseLeft>]", target: button(strings.stop) });
  finish();
  await user.pointer({ keys: "[/MouseLeft]", target: button(strings.send) });
  expect(questions()).toEqual(["Why?"]);
  expect(box()).toHaveProperty("value", "half a thou");
});

it("stops nothing by the second press of a double one on Send", async () => {
  const stop = vi.spyOn(client, "stop");
  const clock = vi.spyOn(performance, "now");
  const user = userEvent.setup();
  showChat(question, answer());
  await user.type(box(), "Go on");
  clock.mockReturnValue(10_000);
  await user.click(button(strings.send));
  clock.mockReturnValue(10_200);
  await user.click(button(strings.stop));
  expect(questions()).toEqual(["Why?", "Go on"]);
  expect(stop).not.toHaveBeenCalled();
  clock.mockReturnValue(11_000);
  await user.click(button(strings.stop));
  expect(stop).toHaveBeenCalledOnce();
});

it("sends nothing by the second press of a double one on Stop", async () => {
  const clock = vi.spyOn(performance, "now");
  const user = userEvent.setup();
  showChat(question, answer({ status: "streaming" }));
  await user.type(box(), "half a thou");
  clock.mockReturnValue(10_000);
  await user.click(button(strings.stop));
  finish();
  clock.mockReturnValue(10_200);
  await user.click(button(strings.send));
  expect(questions()).toEqual(["Why?"]);
});

it("is there where the browser forbids to keep anything", async () => {
  vi.spyOn(globalThis, "sessionStorage", "get").mockImplementation(() => {
    throw new DOMException("forbidden", "SecurityError");
  });
  showChat(question, answer());
  await userEvent.type(box(), "Go on{Enter}");
  expect(questions()).toEqual(["Why?", "Go on"]);
});

it("goes on with the answer when Escape gives up the composition of a character", () => {
  const stop = vi.spyOn(client, "stop");
  showChat(question, answer({ status: "streaming" }));
  fireEvent.keyDown(box(), { key: "Escape", isComposing: true });
  expect(stop).not.toHaveBeenCalled();
  fireEvent.keyDown(box(), { key: "Escape" });
  expect(stop).toHaveBeenCalledOnce();
});

const three = () => [
  question,
  answer(),
  message("b", "q", { role: "assistant" }),
  message("c", "q", { role: "assistant" }),
];

it("walks through the versions of an answer by one key", async () => {
  const user = userEvent.setup();
  showChat(...three());
  button(strings.previousVersion).focus();
  for (const shown of ["2 / 3", "1 / 3", "1 / 3"]) {
    await user.keyboard("{Enter}");
    expect(screen.getByText(shown)).toBeTruthy();
    expect(document.activeElement).toBe(button(strings.previousVersion));
  }
});

it.each([
  [strings.regenerate, answer()],
  [strings.retry, answer({ status: "failed", error: { code: "model_cut", message: "", retryable: true } })],
])("has the focus again after %s", async (name, last) => {
  showChat(question, last);
  button(name).focus();
  await userEvent.keyboard("{Enter}");
  expect(document.activeElement).toBe(box());
});

it("has the focus again after Stop, and after an answer that ends where Stop has it", async () => {
  showChat(question, answer({ status: "streaming" }));
  await userEvent.click(button(strings.stop));
  expect(document.activeElement).toBe(box());
  button(strings.stop).focus();
  finish();
  expect(document.activeElement).toBe(box());
});

const editor = () => screen.getByRole("textbox", { name: strings.editLabel });

it("keeps the new text of a message for the next time its chat is shown, until it is given up", async () => {
  const { unmount } = showChat(question, answer());
  await userEvent.type(box(), "{ArrowUp}");
  await userEvent.type(editor(), " Or how?");
  unmount();
  const again = showChat(question, answer());
  expect(editor()).toHaveProperty("value", "Why? Or how?");
  await userEvent.type(editor(), "{Escape}");
  again.unmount();
  showChat(question, answer());
  expect(screen.queryByRole("textbox", { name: strings.editLabel })).toBeNull();
});

it("keeps the new text of a message no longer than until it is sent", async () => {
  const { unmount } = showChat(question, answer());
  await userEvent.type(box(), "{ArrowUp}");
  await userEvent.type(editor(), " Or how?{Enter}");
  expect(questions()).toEqual(["Why?", "Why? Or how?"]);
  unmount();
  showChat(question, answer());
  expect(screen.queryByRole("textbox", { name: strings.editLabel })).toBeNull();
});

it("says why the new text of a message cannot be sent yet", async () => {
  const user = userEvent.setup();
  showChat(question, answer());
  await user.type(box(), "{ArrowUp}");
  await user.type(editor(), " Or how?");
  act(() => client.chats.getState().startStreaming("c", "a"));
  await user.keyboard("{Enter}");
  expect(questions()).toEqual(["Why?"]);
  expect(screen.getByText(strings.waitToSend)).toBeTruthy();
  const sending = within(editor().parentElement as HTMLElement).getByRole("button", { name: strings.saveEdit });
  expect(sending).toHaveProperty("disabled", true);
  finish();
  await user.click(editor());
  await user.keyboard("{Enter}");
  expect(questions()).toEqual(["Why?", "Why? Or how?"]);
});

it.each([
  ["    return x\n  y", "    return x\n  y"],
  ["\n \n\tindented  \n\n", "\tindented"],
  [" word ", " word"],
])("sends %j as %j: the first line keeps its indentation", (text, sent) => {
  showChat(question, answer());
  fireEvent.change(box(), { target: { value: text } });
  fireEvent.keyDown(box(), { key: "Enter" });
  expect(questions()).toEqual(["Why?", sent]);
});
