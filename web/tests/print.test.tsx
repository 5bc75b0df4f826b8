// Printing: a chat of which the newest messages alone are here is read to its beginning first.

import { fireEvent, render, screen, waitFor } from "@testing-library/react";
import { beforeEach, expect, it, vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import { strings } from "../src/strings";
import { ChatInterface } from "../src/ui/ChatInterface";
import { ClientProvider } from "../src/ui/context";
import { conversation, message } from "./made";

let client: Client;
let print: ReturnType<typeof vi.fn>;
const messages = [message("q5", null), message("a5", "q5", { role: "assistant" })];

/** The chat with so many pages of older messages at the server. */
function hold(pages: number) {
  const older = pages ? { older: { above: "q5", cursor: `page ${pages}` } } : {};
  client.chats.getState().setConversation("c", { ...conversation("c", messages), ...older });
}

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: true }));
  vi.stubGlobal("fetch", () => new Promise(() => {}));
  print = vi.fn();
  vi.stubGlobal("print", print);
  client = createClient();
});

function showChat(pages: number) {
  hold(pages);
  render(
    <ClientProvider value={client}>
      <ChatInterface home={{ chats: client.chats, id: "c" }} />
    </ClientProvider>,
  );
}
const pressPrint = () => fireEvent.keyDown(window, { key: "p", ctrlKey: true });

it("reads all that is older before it prints", async () => {
  let left = 3;
  const older = vi.spyOn(client, "older").mockImplementation(async () => {
    expect(print).not.toHaveBeenCalled();
    hold(--left);
  });
  showChat(3);
  expect(pressPrint()).toBe(false); // the browser does not print meanwhile
  await waitFor(() => expect(print).toHaveBeenCalledOnce());
  expect(older).toHaveBeenCalledTimes(3);
  expect(screen.queryByText(strings.notPrinted)).toBeNull();
});

it("prints what is there when the rest cannot be read, and says so on the paper", async () => {
  vi.spyOn(client, "older").mockRejectedValue(new Error("no network"));
  showChat(1);
  pressPrint();
  await waitFor(() => expect(print).toHaveBeenCalledOnce());
  expect(screen.getByText(strings.notPrinted)).toBeTruthy();
});

it("reads all that is older when the browser's menu prints, for the next time", async () => {
  const older = vi.spyOn(client, "older").mockImplementation(async () => hold(0));
  showChat(1);
  fireEvent(window, new Event("beforeprint"));
  await waitFor(() => expect(screen.queryByText(strings.notPrinted)).toBeNull());
  expect(older).toHaveBeenCalledOnce();
});

it("leaves the printing of a chat that is whole to the browser", () => {
  showChat(0);
  expect(pressPrint()).toBe(true);
});
