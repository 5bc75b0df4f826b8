// The list of chats as a hand and a keyboard meet it.

import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { beforeEach, expect, it, vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import { strings } from "../src/strings";
import { ClientProvider } from "../src/ui/context";
import { Layout } from "../src/ui/Layout";
import { conversation, message } from "./made";
import { MemoryRouter } from "./router";

let client: Client;

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: true, addEventListener: () => {}, removeEventListener: () => {} }));
  vi.stubGlobal("fetch", () => new Promise(() => {})); // a server that takes its time
  client = createClient();
  const at = new Date().toISOString();
  for (const title of ["Pears", "Apples"]) {
    client.list.touch({ id: title, title, budId: "default", model: "m", createdAt: at, updatedAt: at });
    client.chats.getState().setConversation(title, conversation(title, [message(`of ${title}`, null)]));
  }
});

function showPage(path = "/chat/Pears") {
  render(
    <ClientProvider value={client}>
      <MemoryRouter initialEntries={[path]}>
        <Layout />
      </MemoryRouter>
    </ClientProvider>,
  );
}

const actionsFor = (title: string) => screen.getByRole("button", { name: strings.actions(title) });

async function choose(title: string, action: string) {
  await userEvent.click(actionsFor(title));
  await userEvent.click(screen.getByRole("menuitem", { name: action }));
}

it("renames by no Enter that ends the composition of a character", async () => {
  showPage();
  await choose("Pears", strings.rename);
  const box = screen.getByRole("textbox", { name: strings.renameLabel });
  fireEvent.keyDown(box, { key: "Enter", isComposing: true });
  expect(screen.getByRole("textbox", { name: strings.renameLabel })).toBe(box);
});

it.each(["{Enter}", "{Escape}"])("gives the focus back when %s ends a renaming", async (key) => {
  showPage();
  await choose("Pears", strings.rename);
  await userEvent.type(screen.getByRole("textbox", { name: strings.renameLabel }), key);
  expect(document.activeElement).toBe(actionsFor("Pears"));
});

it("gives the focus to Undo when a chat is deleted, and to the chat on screen after it", async () => {
  showPage();
  await choose("Apples", strings.remove);
  expect(document.activeElement).toBe(screen.getByRole("button", { name: strings.undo }));
  await userEvent.keyboard("{Enter}");
  expect(document.activeElement).toBe(screen.getByRole("textbox", { name: strings.message }));
});

const box = () => screen.getByRole("textbox", { name: strings.message });
const opener = () => screen.getByRole("button", { name: strings.openSidebar });

it("covers the chat where it is narrow: the focus is in the list until it closes", async () => {
  showPage();
  await userEvent.click(opener());
  expect(document.activeElement).toBe(screen.getByRole("navigation", { name: strings.chats }));
  expect(document.getElementById("chat")).toHaveProperty("inert", true);
  await userEvent.click(screen.getByRole("button", { name: strings.closeSidebar }));
  expect(document.getElementById("chat")).toHaveProperty("inert", false);
  expect(document.activeElement).toBe(opener());
});

it("does not lie over /new when the chat on screen is deleted", async () => {
  showPage();
  await userEvent.click(opener());
  await choose("Pears", strings.remove);
  expect(opener().getAttribute("aria-expanded")).toBe("false");
});

it("is left by Escape, which stops no answer there", async () => {
  const stop = vi.spyOn(client, "stop");
  const at = message("a", "of Pears", { role: "assistant", status: "streaming" });
  client.chats.getState().addOptimisticMessage("Pears", at);
  client.chats.getState().startStreaming("Pears", "a");
  showPage();
  await userEvent.type(screen.getByRole("searchbox"), "Pea{Escape}");
  expect(document.activeElement).toBe(screen.getByRole("searchbox"));
  await userEvent.keyboard("{Escape}");
  expect(document.activeElement).toBe(box());
  expect(stop).not.toHaveBeenCalled();
  await userEvent.keyboard("{Escape}");
  expect(stop).toHaveBeenCalledOnce();
});

it("gives the box the focus by New chat, also on /new", async () => {
  showPage("/new");
  await userEvent.click(screen.getAllByRole("link", { name: strings.newChat })[0] as HTMLElement);
  expect(document.activeElement).toBe(box());
});

it("leaves this tab alone when New chat is to open in another", () => {
  const startNew = vi.spyOn(client, "startNew");
  showPage();
  for (const link of screen.getAllByRole("link", { name: strings.newChat })) {
    link.addEventListener("click", (event) => event.preventDefault()); // the browser's own part
    fireEvent.click(link, { ctrlKey: true });
  }
  expect(startNew).not.toHaveBeenCalled();
});
