// @vitest-environment node
// The client without its pages, against an API on a real socket: what is asked, what is kept, and what is sent again.

import type { ServerResponse } from "node:http";
import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Client } from "../src/core/client";
import type { TurnEvent } from "../src/core/events";
import { visibleBranch } from "../src/core/tree";
import type { Message } from "../src/core/types";
import { type Asked, cut, json, problem, type Server, streams } from "./server";
import { closeBrowser, type Kept, newOutbox, openBrowser, visit } from "./visits";

const CHAT = "01890000-0000-7000-8000-0000000000aa";
const POST = /^POST \/api\/chat/;
const PAGE = {
  id: CHAT,
  title: "First",
  workspaceId: "w",
  budId: "default",
  model: "m",
  createdAt: "",
  updatedAt: "",
};
let server: Server;

beforeEach(async () => {
  server = await openBrowser();
});

afterEach(() => closeBrowser(server));

const START = (asked: Asked): TurnEvent => ({ type: "start", turnId: asked.body?.turnId ?? "", model: "m" });
const said = (content: string): TurnEvent => ({ type: "token", content });
const CREATED: TurnEvent = { type: "conversationCreated", conversationId: CHAT };
const failed = (code: string, partial: boolean): TurnEvent => ({
  type: "error",
  code,
  message: "",
  retryable: true,
  partial,
});
const complete = (asked: Asked): TurnEvent => ({
  type: "complete",
  turnId: asked.body?.turnId ?? "",
  conversationId: CHAT,
  finishReason: "stop",
  status: "complete",
  usage: null,
  durable: true,
});
const answered = (text: string) =>
  streams((asked) => [START(asked), said(text), ...(asked.path === "/api/chat" ? [CREATED] : []), complete(asked)]);

function shown(client: Client, id = CHAT): Message[] {
  const chat = client.chats.getState().conversations[id] ?? client.drafts.chats.getState().conversations[id];
  return chat ? visibleBranch(chat) : [];
}
const words = (client: Client, id = CHAT) => shown(client, id).map((message) => `${message.role}: ${message.content}`);
const draft = (client: Client) => client.drafts.store.getState().current;
const eventually = (look: () => void | Promise<void>) => vi.waitFor(look, { timeout: 8_000, interval: 10 });

it("shows a message and a place for its answer before anything is asked", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, answered("Hi."));
  client.send(draft(client), "Hello");
  expect(words(client, draft(client))).toEqual(["user: Hello", "assistant: "]);
  expect(server.posts()).toEqual([]);
  await eventually(() => expect(words(client)).toEqual(["user: Hello", "assistant: Hi."]));
});

it("fills the store with what the new chat shows, and keeps nothing in the outbox", async () => {
  const outbox = newOutbox();
  const client = await visit(outbox);
  server.answers(POST, answered("Hi."));
  const id = draft(client);
  client.send(id, "Hello");
  await eventually(() => expect(client.drafts.store.getState().moved[id]).toBe(CHAT));
  const { messages } = client.drafts.chats.getState().conversations[id] ?? {};
  expect(client.chats.getState().conversations[CHAT]?.messages).toEqual(messages);
  expect(shown(client).some((message) => message.unsaved)).toBe(false);
  await eventually(async () => expect(await outbox.all()).toEqual([]));
});

it("takes what is sent from a page that has not passed over yet to where the chat is", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, answered("Hi."));
  const id = draft(client);
  client.send(id, "Hello");
  await eventually(() => expect(client.drafts.store.getState().moved[id]).toBe(CHAT));

  expect(client.send(id, "And now?")).toBe(true);
  expect(client.send(id, "Twice")).toBe(false); // one turn at a time
  await eventually(() =>
    expect(words(client)).toEqual(["user: Hello", "assistant: Hi.", "user: And now?", "assistant: Hi."]),
  );
  expect(server.posts().at(-1)?.parentId).toBe(server.posts()[0]?.turnId);
});

it("sends a message again, as the same turn, when nobody answered", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, (response, asked) => (server.posts().length < 3 ? cut : answered("At last."))(response, asked));
  client.send(draft(client), "Hello?");
  await eventually(() => expect(words(client)).toEqual(["user: Hello?", "assistant: At last."]));
  expect(new Set(server.posts().map((body) => body.turnId)).size).toBe(1);
});

it("sends what the last visit could not, once there is a network", async () => {
  const outbox = newOutbox();
  server.answers(POST, cut);
  const before = await visit(outbox);
  before.send(draft(before), "Into the void");
  await eventually(async () => expect(await outbox.all()).toHaveLength(1));
  sessionStorage.removeItem("chat.new"); // the tab was closed

  const after = await visit(outbox);
  server.answers(POST, answered("Received."));
  await eventually(() => expect(words(after)).toEqual(["user: Into the void", "assistant: Received."]));
});

it("keeps an answer that could not be saved, and the next message takes it along", async () => {
  const outbox = newOutbox();
  const client = await visit(outbox);
  server.answers(POST, answered("One."));
  client.send(draft(client), "First");
  await eventually(() => expect(words(client)).toHaveLength(2));
  server.answers(
    POST,
    streams((asked) => [START(asked), said("Precious words."), failed("not_saved", false)]),
  );
  client.send(CHAT, "Second");
  await eventually(() => expect(shown(client).at(-1)).toMatchObject({ status: "failed", content: "Precious words." }));
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ over: true, conversationId: CHAT }]));

  server.answers(POST, answered("Three."));
  client.send(CHAT, "Third");
  await eventually(() => expect(shown(client).at(-1)?.content).toBe("Three."));
  const body = server.posts().at(-1);
  const first = body?.messages.findIndex((message) => message.id === body.parentId) ?? 0;
  expect(body?.messages.slice(first).map((message) => message.content)).toEqual([
    "One.",
    "Second",
    "Precious words.",
    "Third",
  ]);
  expect(shown(client).some((message) => message.unsaved)).toBe(false);
  await eventually(async () => expect(await outbox.all()).toEqual([]));
});

it("shows an unsaved question and answer again on the next visit", async () => {
  const outbox = newOutbox();
  const client = await visit(outbox);
  server.answers(POST, answered("One."));
  client.send(draft(client), "First");
  await eventually(() => expect(words(client)).toHaveLength(2));
  const stored = shown(client);
  server.answers(
    POST,
    streams((asked) => [START(asked), said("Precious words."), failed("not_saved", false)]),
  );
  client.send(CHAT, "Second");
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ over: true }]));

  server.answers(/GET \/api\/conversations\/.+/, json({ ...PAGE, messages: stored }));
  const after = await visit(outbox);
  await after.open(CHAT);
  expect(words(after)).toEqual(["user: First", "assistant: One.", "user: Second", "assistant: Precious words."]);
  expect(shown(after).at(-1)?.error?.code).toBe("not_saved");
  server.answers(POST, answered("Two."));
  after.again(CHAT, shown(after).at(-1)?.id ?? "");
  await eventually(() => expect(shown(after).at(-1)?.content).toBe("Two."));
  expect(server.posts().at(-1)?.parentId, "the question goes along: it was not saved either").toBe(stored[1]?.id);
});

it("asks again for an answer the model failed at, under the question the server has", async () => {
  const client = await visit(newOutbox());
  server.answers(
    POST,
    streams((asked) => [START(asked), CREATED, failed("model_unavailable", false)]),
  );
  client.send(draft(client), "Well?");
  await eventually(() => expect(shown(client).at(-1)?.status).toBe("failed"));
  server.answers(POST, answered("Well."));
  client.again(CHAT, shown(client).at(-1)?.id ?? "");
  await eventually(() => expect(words(client)).toEqual(["user: Well?", "assistant: Well."]));
  const body = server.posts().at(-1);
  expect(body?.parentId).toBe(body?.messages.at(-1)?.id);
});

it("takes a turn whose worker was killed for interrupted, with all that had come", async () => {
  const client = await visit(newOutbox());
  server.answers(
    POST,
    streams((asked) => [START(asked), said("Half an ans"), CREATED]),
  );
  server.answers(/GET \/api\/turns\/.+\/stream/, (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.end(`id: 4\ndata: ${JSON.stringify(failed("internal", true))}\n\n`);
  });
  client.send(draft(client), "Tell me");
  await eventually(() => expect(shown(client).at(-1)).toMatchObject({ status: "interrupted", content: "Half an ans" }));
});

it("waits for the conversation of an answer that storage has not confirmed, and gives up on one that is unknown", async () => {
  const client = await visit(newOutbox());
  const unconfirmed = (asked: Asked): TurnEvent => ({ ...complete(asked), conversationId: null }) as TurnEvent;
  server.answers(
    POST,
    streams((asked) => [START(asked), said("Hi."), unconfirmed(asked)]),
  );
  server.answers(/GET \/api\/turns/, json({ status: "complete", durable: true, conversationId: CHAT }));
  const first = draft(client);
  client.send(first, "Hello");
  await eventually(() => expect(client.saving.getState()[first]).toBe(true));
  expect(client.send(first, "too early")).toBe(false);
  await eventually(() => expect(words(client)).toEqual(["user: Hello", "assistant: Hi."]));

  client.arrived(CHAT);
  server.answers(/GET \/api\/turns/, problem(404, "not_found"));
  const second = draft(client);
  client.send(second, "Anyone?");
  await eventually(() => expect(shown(client, second).at(-1)?.error?.code).toBe("not_saved"));
  expect(client.saving.getState()[second]).toBeUndefined();
});

it("stops a message that never reached the server here, and keeps it", async () => {
  const outbox = newOutbox();
  const client = await visit(outbox);
  server.answers(POST, () => {}); // held
  server.answers(/stop/, cut);
  const id = draft(client);
  client.send(id, "Wait");
  await eventually(() => expect(server.posts()).toHaveLength(1));
  await client.stop(shown(client, id).at(-1)?.id ?? "");
  expect(shown(client, id).at(-1)).toMatchObject({ status: "stopped", unsaved: true });
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ over: true }]));
  server.answers(POST, answered("Done."));
  client.send(id, "Now");
  await eventually(() => expect(words(client)).toEqual(["user: Wait", "user: Now", "assistant: Done."]));
});

it("lets two chats run at once, and tells them apart", async () => {
  const client = await visit(newOutbox());
  const held: (() => void)[] = [];
  server.answers(POST, (response, asked) => {
    held.push(() => streams((one) => [START(one), said(`Re: ${one.body?.messages.at(-1)?.content}`)])(response, asked));
  });
  const first = draft(client);
  client.send(first, "one");
  client.startNew();
  const second = draft(client);
  client.send(second, "two");
  await eventually(() => expect(held).toHaveLength(2));
  expect(
    Object.values(client.turns.running.getState())
      .map((turn) => turn.place)
      .sort(),
  ).toEqual([first, second].sort());
  for (const go of held) go();
  await eventually(() => expect(words(client, first)).toEqual(["user: one", "assistant: Re: one"]));
  await eventually(() => expect(words(client, second)).toEqual(["user: two", "assistant: Re: two"]));
});

/** A new chat whose answer is under way, named already, and not over before `end` is called. */
async function startNamed(client: Client): Promise<{ id: string; end: () => void }> {
  let end = () => {};
  server.answers(POST, (response, asked) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (id: number, event: TurnEvent) => response.write(`id: ${id}\ndata: ${JSON.stringify(event)}\n\n`);
    send(1, START(asked));
    send(2, said("Hi."));
    send(3, CREATED);
    end = () => {
      send(4, complete(asked));
      response.end();
    };
  });
  const id = draft(client);
  client.send(id, "Hello");
  await eventually(() => expect(client.drafts.store.getState().created[id]).toBe(CHAT));
  return { id, end: () => end() };
}

it("takes what is written along when a new chat moves while its reader is elsewhere", async () => {
  const client = await visit(newOutbox());
  const { id } = await startNamed(client);
  client.written.set(id, "my next question");
  client.showNew(false);
  expect(client.drafts.store.getState().moved[id]).toBe(CHAT);
  expect(client.written.get(CHAT)).toBe("my next question");
  expect(client.written.get(id)).toBe("");
});

async function startStored(client: Client): Promise<void> {
  server.answers(POST, answered("One."));
  server.answers(/^DELETE /, json({}));
  client.send(draft(client), "First");
  await eventually(() => expect(words(client)).toHaveLength(2));
}
const listed = (client: Client) => client.list.store.getState().items.map((item) => item.id);

it("takes writing to a chat that was just deleted for an undo", async () => {
  const client = await visit(newOutbox());
  await startStored(client);
  client.list.hide(CHAT);
  expect(client.send(CHAT, "Not so fast")).toBe(true);
  client.list.settle();
  await eventually(() => expect(words(client)).toHaveLength(4));
  expect(listed(client)).toEqual([CHAT]);
  expect(server.asked.some((one) => one.method === "DELETE")).toBe(false);
});

it("says of a deleted chat that is still on screen that it is not there", async () => {
  const client = await visit(newOutbox());
  await startStored(client);
  client.list.hide(CHAT);
  client.list.settle();
  expect(shown(client)).toEqual([]);
  expect(client.opening.getState()[CHAT]).toBe("missing");
});

it("takes a new chat that is deleted while it streams off the screen, and brings nothing of it back", async () => {
  const client = await visit(newOutbox());
  const { id, end } = await startNamed(client);
  client.remove(CHAT);
  expect(draft(client)).not.toBe(id);
  expect(listed(client)).toEqual([]);
  end();
  await eventually(() => expect(words(client)).toEqual(["user: Hello", "assistant: Hi."]));
  await eventually(() => expect(client.turns.running.getState()).toEqual({}));
  expect(listed(client)).toEqual([]);
  client.list.undo();
  expect(listed(client)).toEqual([CHAT]);
});

it("sends what the last visit could not in a stored chat, though opening that chat fails at first", async () => {
  const outbox = newOutbox();
  const before = await visit(outbox);
  await startStored(before);
  const stored = shown(before);
  server.answers(POST, cut);
  before.send(CHAT, "Into the void");
  await eventually(async () => expect(await outbox.all()).toHaveLength(1));
  before.turns.forget(shown(before).at(-1)?.id ?? ""); // the tab was closed

  let looks = 0;
  server.answers(/GET \/api\/conversations\/.+/, (response, asked) =>
    (++looks <= 2 ? problem(503, "unavailable") : json({ ...PAGE, messages: stored }))(response, asked),
  );
  server.answers(/GET \/api\/turns\/.+\/stream/, problem(404, "not_found"));
  const after = await visit(outbox);
  server.answers(POST, answered("Received."));
  await eventually(() => expect(after.opening.getState()[CHAT]).toBe("failed"));
  await eventually(() => expect(words(after).slice(2)).toEqual(["user: Into the void", "assistant: Received."]));
  expect(after.opening.getState()[CHAT]).toBeUndefined();
});

it("does not take a refused message along: the next one of its chat goes out without it", async () => {
  const client = await visit(newOutbox());
  await startStored(client);
  server.answers(POST, problem(413, "too_large"));
  client.send(CHAT, "Far too long");
  await eventually(() => expect(shown(client).at(-1)?.error?.code).toBe("too_large"));
  server.answers(POST, answered("Two."));
  client.send(CHAT, "Short");
  await eventually(() => expect(words(client).slice(2)).toEqual(["user: Short", "assistant: Two."]));
  expect(
    server
      .posts()
      .at(-1)
      ?.messages.map((message) => message.content),
  ).toEqual(["First", "One.", "Short"]);
});

it("calls a new chat by the question that was taken, not by the one that was refused", async () => {
  const client = await visit(newOutbox());
  const id = draft(client);
  server.answers(POST, problem(413, "too_large"));
  client.send(id, "Far too long");
  await eventually(() => expect(shown(client, id).at(-1)?.error?.code).toBe("too_large"));
  server.answers(POST, answered("One."));
  client.send(id, "Short");
  await eventually(() => expect(words(client)).toEqual(["user: Short", "assistant: One."]));
  expect(client.chats.getState().conversations[CHAT]?.meta.title).toBe("Short");
});

/** A new chat whose question, "Well?", met the end of a quota. */
async function refused(outbox: Kept): Promise<{ client: Client; id: string }> {
  const client = await visit(outbox);
  const id = draft(client);
  server.answers(POST, problem(429, "quota_exceeded"));
  client.send(id, "Well?");
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ over: true }]));
  return { client, id };
}

it("keeps nothing of a new chat whose question failed, was edited, and then answered", async () => {
  const outbox = newOutbox();
  const { client, id } = await refused(outbox);
  server.answers(POST, answered("Well."));
  client.edit(id, shown(client, id).at(-2)?.id ?? "", "Well, well?");
  await eventually(() => expect(words(client)).toEqual(["user: Well, well?", "assistant: Well."]));
  await eventually(async () => expect(await outbox.all()).toEqual([]));
  expect(client.chats.getState().conversations[CHAT]?.meta.title).toBe("Well, well?");
});

it("drops a new chat that failed, for this visit and the next", async () => {
  const outbox = newOutbox();
  const { client, id } = await refused(outbox);
  client.startNew();
  client.discard(id);
  expect(shown(client, id)).toEqual([]);
  await eventually(async () => expect(await outbox.all()).toEqual([]));
});

it("gives a new title to a chat that is still on /new, and takes it back when the server refuses", async () => {
  const client = await visit(newOutbox());
  const { id, end } = await startNamed(client);
  const titles = () => [
    client.drafts.chats.getState().conversations[id]?.meta.title,
    ...client.list.store.getState().items.map((item) => item.title),
  ];
  server.answers(/^PATCH /, problem(503, "unavailable"));
  await expect(client.rename(CHAT, "Better")).rejects.toThrow();
  expect(titles()).toEqual(["Hello", "Hello"]);
  server.answers(/^PATCH /, json({}));
  await client.rename(CHAT, "Better");
  end();
  await eventually(() => expect(client.chats.getState().conversations[CHAT]?.meta.title).toBe("Better"));
  expect(titles()).toEqual(["Better", "Better"]);
});

const page =
  (status: number, headers: Record<string, string> = {}) =>
  (response: ServerResponse) => {
    response.writeHead(status, { "content-type": "text/html", ...headers });
    response.end("<h1>No</h1>");
  };

it.each([
  [403, "blocked"],
  [413, "too_large"],
  [429, "rate_limited"],
])("knows what a gateway's page with status %d means", async (status, code) => {
  const client = await visit(newOutbox());
  server.answers(POST, page(status, { "retry-after": "60" }));
  const id = draft(client);
  client.send(id, "Hello");
  await eventually(() => expect(shown(client, id).at(-1)?.error?.code).toBe(code));
  const until = Date.parse(shown(client, id).at(-1)?.error?.retryAt ?? "") - Date.now();
  expect(until).toBeGreaterThan(50_000);
  expect(until).toBeLessThan(70_000);
});

it("sends again what a page in the server's place has answered", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, (response, asked) =>
    server.posts().length < 2 ? page(200)(response) : answered("Hi.")(response, asked),
  );
  const id = draft(client);
  client.send(id, "Hello");
  await eventually(() => expect(Object.values(client.turns.running.getState())[0]?.phase).toBe("unsent"));
  await eventually(() => expect(words(client)).toEqual(["user: Hello", "assistant: Hi."]));
});

it.each(["{}", "null", "3", "not JSON"])("begins without what is remembered when that is %s", async (value) => {
  localStorage.setItem("chat.buds", value);
  localStorage.setItem("chat.list..", value);
  const client = await visit(newOutbox());
  expect(client.list.store.getState().items).toEqual([]);
  expect(client.buds.getState().items).toEqual([]);
});

it("adds what another tab has written to a chat when it is looked at again, and the next message follows it", async () => {
  const client = await visit(newOutbox());
  await startStored(client);
  const stored = shown(client);
  const other: Message[] = [
    { ...(stored[0] as Message), id: "q", parentId: stored[1]?.id ?? "", content: "From elsewhere" },
    { ...(stored[1] as Message), id: "a", parentId: "q", content: "Elsewhere." },
  ];
  server.answers(/GET \/api\/conversations\/.+/, json({ ...PAGE, messages: [...stored, ...other] }));
  await client.refresh(CHAT);
  expect(words(client).slice(2)).toEqual(["user: From elsewhere", "assistant: Elsewhere."]);
  const before = client.chats.getState().conversations[CHAT];
  await client.refresh(CHAT);
  expect(client.chats.getState().conversations[CHAT]).toBe(before);
  client.send(CHAT, "And here");
  await eventually(() => expect(server.posts().at(-1)?.parentId).toBe("a"));
});

const DAY_MS = 24 * 3_600_000;

it.each([
  ["a new chat", null],
  ["a stored chat", CHAT],
])("sends nothing unasked of %s that has lain in the outbox for 90 days, and shows it", async (_, conversationId) => {
  const outbox = newOutbox();
  const at = Date.now() - 90 * DAY_MS;
  const createdAt = new Date(at).toISOString();
  const asked = {
    id: "q",
    parentId: null,
    role: "user",
    content: "Old news",
    status: "complete",
    unsaved: true,
  } as const;
  await outbox.put({
    turnId: "a",
    conversationId,
    draftId: conversationId ? null : "d",
    body: { turnId: "a", budId: "default", messages: [{ id: "q", role: "user", content: "Old news" }], parentId: null },
    messages: [
      { ...asked, createdAt },
      { ...asked, id: "a", parentId: "q", role: "assistant", content: "", status: "streaming", createdAt },
    ],
    over: false,
    at,
  });
  server.answers(/GET \/api\/conversations\/.+/, json({ ...PAGE, messages: [] }));
  server.answers(POST, answered("News!"));
  const client = await visit(outbox);
  const id = conversationId ?? "d";
  await eventually(() => expect(shown(client, id).map((one) => one.status)).toEqual(["complete", "interrupted"]));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.posts()).toEqual([]);

  expect(client.again(id, "a")).toBe(true);
  await eventually(() => expect(server.posts()).toHaveLength(1));
});

it("sends nothing unasked of a chat that a tab left on /new 90 days ago", async () => {
  const outbox = newOutbox();
  const before = await visit(outbox);
  server.answers(POST, cut);
  before.send(draft(before), "Old news");
  await eventually(() => expect(server.posts().length).toBeGreaterThan(0));
  before.end();
  await outbox.storage.clear((_, kind) => kind.area !== "database"); // the tab's own memory is all that is left
  const kept = sessionStorage.getItem("chat.new") ?? "";
  const year = new Date().getFullYear();
  sessionStorage.setItem("chat.new", kept.replaceAll(`"${year}-`, `"${year - 1}-`));
  const posts = server.posts().length;
  const after = await visit(outbox);
  await eventually(() => expect(shown(after, draft(after)).at(-1)?.status).toBe("interrupted"));
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(server.posts()).toHaveLength(posts);
});

it("keeps the only copy of an answer whose turn the server does not know any more", async () => {
  const outbox = newOutbox();
  const client = await visit(outbox);
  server.answers(
    POST,
    streams((asked) => [START(asked), said("All there is of it")]),
  );
  server.answers(/GET \/api\/turns/, problem(404, "not_found"));
  const id = draft(client);
  client.send(id, "Tell me");
  await eventually(() => expect(shown(client, id).at(-1)?.status).toBe("interrupted"));
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ over: true }]));
  const kept = (await outbox.all()).flatMap((entry) => entry.messages.map((one) => one.content));
  expect(kept).toEqual(["Tell me", "All there is of it"]);
  expect(shown(client, id).every((one) => one.unsaved)).toBe(true);
});

it("takes out of the outbox what the server turns out to have", async () => {
  const outbox = newOutbox();
  const before = await visit(outbox);
  await startStored(before);
  const stored = shown(before);
  const [asked, answer] = stored as [Message, Message];
  await outbox.put({
    turnId: answer.id,
    conversationId: CHAT,
    draftId: null,
    body: { turnId: answer.id, budId: "default", messages: [], parentId: null },
    messages: [asked, answer],
    over: false,
    at: Date.now(),
  });
  server.answers(/GET \/api\/conversations\/.+/, json({ ...PAGE, messages: stored }));
  const after = await visit(outbox);
  await after.open(CHAT);
  await eventually(async () => expect(await outbox.all()).toEqual([]));
});

it("lets a stream go on although the browser says that it is offline, while the server answers", async () => {
  const client = await visit(newOutbox());
  server.answers(/GET \/api\/health/, json({ status: "ok" }));
  const { id, end } = await startNamed(client);
  const posts = server.posts().length;
  vi.stubGlobal("navigator", { onLine: false });
  await new Promise((resolve) => setTimeout(resolve, 2_500)); // the page looks at its connections each second
  end();
  await eventually(() => expect(client.drafts.store.getState().moved[id]).toBe(CHAT));
  expect(server.posts()).toHaveLength(posts);
  expect(server.asked.some((one) => one.path.endsWith("/stream"))).toBe(false);
});
