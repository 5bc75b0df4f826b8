// What keys ask for: an input method's own keys ask for nothing, wherever they are pressed.

import { readdirSync, readFileSync } from "node:fs";
import { fireEvent, render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import { strings } from "../src/strings";
import { ClientProvider } from "../src/ui/context";
import { isShortcut, keyOf, sends } from "../src/ui/keys";
import { Layout } from "../src/ui/Layout";
import { conversation, message } from "./made";
import { MemoryRouter } from "./router";

let client: Client;
/** The media queries that match. */
let media: string[];

beforeEach(() => {
  media = ["(pointer: fine)"];
  vi.stubGlobal("matchMedia", (query: string) => ({
    matches: media.includes(query),
    addEventListener: () => {},
    removeEventListener: () => {},
  }));
  vi.stubGlobal("fetch", () => new Promise(() => {})); // a server that takes its time
  client = createClient();
  const at = new Date().toISOString();
  client.list.touch({ id: "c", title: "Pears", budId: "default", model: "m", createdAt: at, updatedAt: at });
  const answer = message("a", "q", { role: "assistant", content: "Because." });
  client.chats.getState().setConversation("c", conversation("c", [message("q", null, { content: "Why?" }), answer]));
});

afterEach(() => vi.restoreAllMocks());

function showPage() {
  render(
    <ClientProvider value={client}>
      <MemoryRouter initialEntries={["/chat/c"]}>
        <Layout />
      </MemoryRouter>
    </ClientProvider>,
  );
}
const box = () => screen.getByRole("textbox", { name: strings.message });
const questions = () =>
  client.chats
    .getState()
    .conversations.c?.messages.filter((one) => one.role === "user")
    .map((one) => one.content);

// Chromium and Firefox say that a composition goes on; Safari has ended it before the key, and gives the key's code as 229.
const COMPOSING = [
  ["during a composition", { isComposing: true }],
  ["as Safari tells it after a composition", { keyCode: 229 }],
] as const;

it.each(COMPOSING)("sends nothing by Enter %s", (_, how) => {
  showPage();
  fireEvent.change(box(), { target: { value: "にほん" } });
  fireEvent.keyDown(box(), { key: "Enter", ...how });
  expect(questions()).toEqual(["Why?"]);
  fireEvent.keyDown(box(), { key: "Enter", keyCode: 13 });
  expect(questions()).toEqual(["Why?", "にほん"]);
});

it.each(COMPOSING)("edits nothing by the arrow up %s", (_, how) => {
  showPage();
  fireEvent.keyDown(box(), { key: "ArrowUp", ...how });
  expect(screen.queryByRole("textbox", { name: strings.editLabel })).toBeNull();
});

it.each(COMPOSING)("neither sends an edit nor gives it up by a key %s", (_, how) => {
  showPage();
  fireEvent.keyDown(box(), { key: "ArrowUp" });
  const editor = screen.getByRole("textbox", { name: strings.editLabel });
  fireEvent.change(editor, { target: { value: "なぜ" } });
  for (const key of ["Enter", "Escape"]) fireEvent.keyDown(editor, { key, ...how });
  expect(questions()).toEqual(["Why?"]);
  expect(screen.getByRole("textbox", { name: strings.editLabel })).toBe(editor);
});

it.each(COMPOSING)("ends no renaming by a key %s", async (_, how) => {
  showPage();
  await userEvent.click(screen.getByRole("button", { name: strings.actions("Pears") }));
  await userEvent.click(screen.getByRole("menuitem", { name: strings.rename }));
  const rename = screen.getByRole("textbox", { name: strings.renameLabel });
  for (const key of ["Enter", "Escape"]) fireEvent.keyDown(rename, { key, ...how });
  expect(screen.getByRole("textbox", { name: strings.renameLabel })).toBe(rename);
});

it.each(COMPOSING)("keeps what is searched for by Escape %s, and the focus there", (_, how) => {
  showPage();
  const search = screen.getByRole("searchbox");
  search.focus();
  fireEvent.change(search, { target: { value: "なし" } });
  fireEvent.keyDown(search, { key: "Escape", ...how });
  expect(search).toHaveProperty("value", "なし");
  expect(document.activeElement).toBe(search);
});

it.each(COMPOSING)("stops no answer by Escape %s", (_, how) => {
  const stop = vi.spyOn(client, "stop").mockResolvedValue();
  client.chats.getState().startStreaming("c", "a");
  showPage();
  fireEvent.keyDown(box(), { key: "Escape", ...how });
  expect(stop).not.toHaveBeenCalled();
  fireEvent.keyDown(box(), { key: "Escape" });
  expect(stop).toHaveBeenCalledOnce();
});

it.each(COMPOSING)("takes no shortcut %s", (_, how) => {
  showPage();
  box().focus();
  fireEvent.keyDown(box(), { key: "k", code: "KeyK", ctrlKey: true, ...how });
  expect(document.activeElement).toBe(box());
});

it("has no key handler that reads a key by itself", () => {
  const folder = `${import.meta.dirname}/../src/ui/`;
  const own = /\bevent\.(key|code|keyCode)\b|isComposing/;
  const found = readdirSync(folder).filter(
    (name) => name !== "keys.ts" && own.test(readFileSync(folder + name, "utf8")),
  );
  expect(found).toEqual([]);
});

it("makes a new line by Enter on touch, where the button sends", async () => {
  media = ["(pointer: coarse)", "(hover: none)"];
  showPage();
  await userEvent.type(box(), "one{Enter}two");
  expect(box()).toHaveProperty("value", "one\ntwo");
  expect(questions()).toEqual(["Why?"]);
  expect(box().getAttribute("enterkeyhint")).toBe("enter");
  await userEvent.click(screen.getByRole("button", { name: strings.send }));
  expect(questions()).toEqual(["Why?", "one\ntwo"]);
});

it("makes a new line by Enter on touch in an edit, too", async () => {
  media = ["(pointer: coarse)", "(hover: none)"];
  showPage();
  await userEvent.click(screen.getByRole("button", { name: strings.edit }));
  const editor = screen.getByRole("textbox", { name: strings.editLabel });
  await userEvent.type(editor, "{Enter}How?");
  expect(editor).toHaveProperty("value", "Why?\nHow?");
  await userEvent.click(screen.getAllByRole("button", { name: strings.saveEdit })[0] as HTMLElement);
  expect(questions()).toEqual(["Why?", "Why?\nHow?"]);
});

it("does not tell of Shift + Enter where there is none", () => {
  media = ["(pointer: coarse)", "(hover: none)"];
  showPage();
  expect(screen.queryByText(/Shift/)).toBeNull();
});

const key = (fields: Partial<KeyboardEvent>) => new KeyboardEvent("keydown", fields as KeyboardEventInit);

it.each([
  ["fine", {}, true],
  ["fine", { shiftKey: true }, false],
  ["fine", { altKey: true }, false],
  ["fine", { ctrlKey: true }, true],
  ["none", {}, true], // a keyboard, and nothing to point with
  ["coarse", {}, false],
  ["coarse", { shiftKey: true }, false],
  ["coarse", { ctrlKey: true }, true], // a tablet's own keyboard
  ["coarse", { metaKey: true }, true],
])("with a pointer that is %s, Enter with %j sends: %s", (pointer, fields, sent) => {
  media = [`(pointer: ${pointer})`];
  expect(sends(key({ key: "Enter", ...fields }))).toBe(sent);
});

it.each([
  ["MacIntel", { key: "k", metaKey: true }, true],
  ["MacIntel", { key: "k", ctrlKey: true }, false], // deletes to the end of the line
  ["MacIntel", { key: "k", metaKey: true, ctrlKey: true }, false],
  ["iPad", { key: "k", metaKey: true }, true],
  ["Linux x86_64", { key: "k", ctrlKey: true }, true],
  ["Linux x86_64", { key: "k", metaKey: true }, false], // the window manager's
  ["Win32", { key: "K", ctrlKey: true }, true], // with Caps Lock
  ["Win32", { key: "ķ", code: "KeyK", ctrlKey: true, altKey: true }, false], // AltGr
  ["Win32", { key: "k", ctrlKey: true, shiftKey: true }, false],
  ["Win32", { key: "л", code: "KeyK", ctrlKey: true }, true], // a Russian keyboard
  ["Win32", { key: "t", code: "KeyK", ctrlKey: true }, false], // Dvorak: the key's name counts
  ["Win32", { key: "k" }, false],
])("on %s, %j is the shortcut with K: %s", (platform, fields, taken) => {
  vi.spyOn(navigator, "platform", "get").mockReturnValue(platform);
  expect(isShortcut(key(fields), "k")).toBe(taken);
});

it("leaves the keys of text editing on a Mac to the text", () => {
  vi.spyOn(navigator, "platform", "get").mockReturnValue("MacIntel");
  showPage();
  box().focus();
  // Control with a letter moves, deletes and transposes there.
  for (const letter of "abdefhknoptvwy") {
    for (const shiftKey of [false, true])
      expect(fireEvent.keyDown(box(), { key: letter, ctrlKey: true, shiftKey })).toBe(true);
  }
  expect(document.activeElement).toBe(box());
});

it("gives the name of a plain key", () => expect(keyOf(key({ key: "Escape" }))).toBe("Escape"));
