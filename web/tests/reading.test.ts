// @vitest-environment node
// Long chats: the newest page first, older ones and other branches as they are asked for, changes alone on a return.

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Client } from "../src/core/client";
import { visibleBranch } from "../src/core/tree";
import type { Message } from "../src/core/types";
import { message } from "./made";
import { type Asked, json, problem, type Server, streams } from "./server";
import { closeBrowser, newOutbox, openBrowser, visit } from "./visits";

const CHAT = "019ab000-0000-7000-8000-00000000000c";
const PAGE = 50;
const META = {
  id: CHAT,
  title: "A chat",
  workspaceId: "local",
  budId: "default",
  model: "m",
  createdAt: "",
  updatedAt: "",
};

let server: Server;
/** What the server has, in the order it was stored. */
let stored: (Message & { depth: number })[];
let reads: string[];

const uuid = (name: string) =>
  `019ab000-0000-7000-8000-${[...name]
    .map((letter) => letter.charCodeAt(0).toString(16))
    .join("")
    .padStart(12, "0")
    .slice(-12)}`;

function store(name: string, parent: string | null, fields: Partial<Message> = {}): string {
  const above = stored.find((one) => one.id === (parent && uuid(parent)));
  const depth = above ? above.depth + 1 : 0;
  const made = message(uuid(name), above?.id ?? null, {
    content: name,
    orderKey: String(depth).padStart(6, "0"),
    ...fields,
  });
  stored.push({ ...made, depth });
  return made.id;
}

/** Questions and answers in one branch, `from` one number on. */
function chain(name: string, length: number, parent: string | null = null): void {
  for (let index = 0; index < length; index++)
    store(`${name}${index}`, index ? `${name}${index - 1}` : parent, { role: index % 2 ? "assistant" : "user" });
}

const find = (id: string | undefined | null) => stored.find((one) => one.id === id);

function pathOf(id: string | undefined | null): Message[] {
  const own = find(id);
  return own ? [...pathOf(own.parentId), own] : [];
}

/** The newest leaf of the branches through a message. */
function leafBelow(id: string): string {
  const below = stored.filter((one) => pathOf(one.id).some((above) => above.id === id));
  return (below.at(-1) as Message).id;
}

/** As the server answers: docs/architecture.md, "Reading a long conversation". */
function page({ query }: Asked): object {
  reads.push(
    [...query.keys()]
      .filter((name) => name !== "limit")
      .sort()
      .join(" "),
  );
  const bare = (one: Message) => {
    const { depth: _, ...rest } = one as Message & { depth?: number };
    const siblings = stored.filter((other) => other.parentId === one.parentId).map((other) => other.id);
    return siblings.length > 1 ? { ...rest, siblings } : rest;
  };
  const since = query.get("since");
  if (since)
    return { ...META, asOf: stored.at(-1)?.createdAt, messages: stored.filter((one) => one.createdAt > since) };
  const through = query.get("through")?.split(":")[1];
  const start = query.get("cursor") ?? leafBelow(through && find(through) ? through : (stored.at(0) as Message).id);
  const path = pathOf(start);
  const messages = path.slice(-PAGE).map(bare);
  const above = messages[0]?.parentId;
  return { ...META, asOf: stored.at(-1)?.createdAt, messages, ...(above ? { cursor: above } : {}) };
}

const shown = (client: Client): string[] => {
  const chat = client.chats.getState().conversations[CHAT];
  return chat ? visibleBranch(chat).map((one) => one.content) : [];
};
const names = (name: string, from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => `${name}${from + index}`);

beforeEach(async () => {
  server = await openBrowser();
  stored = [];
  reads = [];
  server.answers(/GET \/api\/conversations\/.+/, (response, asked) => json(page(asked))(response, asked));
});
afterEach(() => closeBrowser(server));

it("opens a long chat with its newest page, and brings the older ones one by one", async () => {
  chain("m", 120);
  const client = await visit(newOutbox());
  await client.open(CHAT);
  expect(shown(client)).toEqual(names("m", 70, 120));
  await client.older(CHAT);
  expect(shown(client)).toEqual(names("m", 20, 120));
  await Promise.all([client.older(CHAT), client.older(CHAT)]);
  expect(shown(client)).toEqual(names("m", 0, 120));
  await client.older(CHAT);
  expect(reads).toEqual(["order", "cursor order", "cursor order"]);
});

it("keeps what is here when older messages cannot be loaded, and goes on from there", async () => {
  chain("m", 60);
  const client = await visit(newOutbox());
  await client.open(CHAT);
  let isDown = true;
  server.answers(/GET \/api\/conversations\/.+/, (response, asked) =>
    (isDown ? problem(503, "unavailable") : json(page(asked)))(response, asked),
  );
  await expect(client.older(CHAT)).rejects.toThrow();
  expect(shown(client)).toEqual(names("m", 10, 60));
  isDown = false;
  await client.older(CHAT);
  expect(shown(client)).toEqual(names("m", 0, 60));
});

it("asks only for what is new when its reader comes back, and again when that failed", async () => {
  chain("m", 120);
  const client = await visit(newOutbox());
  await client.open(CHAT);
  reads = [];
  await client.refresh(CHAT);
  expect(reads).toEqual(["since"]);
  store("new", "m119");
  let isDown = true;
  server.answers(/GET \/api\/conversations\/.+/, (response, asked) =>
    (isDown ? problem(503, "unavailable") : json(page(asked)))(response, asked),
  );
  await client.refresh(CHAT);
  isDown = false;
  await client.refresh(CHAT);
  expect(shown(client)).toEqual([...names("m", 70, 120), "new"]);
  expect(reads).toEqual(["since", "since"]);
});

it("shows again the branch that was read last, though the newest leaf is on another", async () => {
  chain("m", 60);
  store("m59 again", "m58", { role: "assistant" });
  const outbox = newOutbox();
  const client = await visit(outbox);
  await client.open(CHAT);
  expect(shown(client).at(-1)).toBe("m59 again");
  await client.showVersion({ chats: client.chats, id: CHAT }, uuid("m59"), uuid("m59 again"));
  expect(shown(client).at(-1)).toBe("m59");
  const after = await visit(outbox);
  await after.open(CHAT);
  expect(shown(after).slice(-2)).toEqual(["m58", "m59"]);
});

it("shows the messages written in the first version after the second was made", async () => {
  chain("m", 4);
  store("m3 again", "m2", { role: "assistant" });
  chain("on", 10, "m3");
  const client = await visit(newOutbox()); // on another device: nothing is remembered
  await client.open(CHAT);
  expect(shown(client)).toEqual([...names("m", 0, 4), ...names("on", 0, 10)]);
});

it("stays in the branch last read when it was written on elsewhere, and leaves another's news alone", async () => {
  chain("m", 4);
  store("m3 again", "m2", { role: "assistant" });
  const outbox = newOutbox();
  const client = await visit(outbox);
  await client.open(CHAT);
  await client.showVersion({ chats: client.chats, id: CHAT }, uuid("m3"), uuid("m3 again"));
  store("on", "m3");
  store("aside", "m3 again");
  await client.refresh(CHAT);
  expect(shown(client)).toEqual([...names("m", 0, 4), "on"]);
  const after = await visit(outbox);
  await after.open(CHAT);
  expect(shown(after)).toEqual([...names("m", 0, 4), "on"]);
});

it("reads a version that is not here with its whole branch's end, and joins both above their fork", async () => {
  chain("m", 70);
  chain("edit", 120, "m29");
  const client = await visit(newOutbox());
  await client.open(CHAT);
  while (client.chats.getState().conversations[CHAT]?.older?.cursor) await client.older(CHAT);
  expect(shown(client)).toEqual([...names("m", 0, 30), ...names("edit", 0, 120)]);
  const home = { chats: client.chats, id: CHAT };
  await client.showVersion(home, uuid("m30"), uuid("edit0"));
  expect(shown(client)).toEqual(names("m", 0, 70));
  await client.showVersion(home, uuid("edit0"), uuid("m30"));
  expect(shown(client)).toEqual([...names("m", 0, 30), ...names("edit", 0, 120)]);
});

it("shows the end of a long version at once, and its beginning as it is scrolled to", async () => {
  chain("m", 130);
  chain("edit", 2, "m9");
  const client = await visit(newOutbox());
  await client.open(CHAT);
  expect(shown(client)).toEqual([...names("m", 0, 10), "edit0", "edit1"]);
  await client.showVersion({ chats: client.chats, id: CHAT }, uuid("m10"), uuid("edit0"));
  expect(shown(client)).toEqual(names("m", 80, 130));
  await client.older(CHAT);
  await client.older(CHAT);
  expect(shown(client)).toEqual(names("m", 0, 130));
});

it("sends the newest part of a long branch, with the order keys of what is stored", async () => {
  chain("m", 400, null);
  const client = await visit(newOutbox());
  await client.open(CHAT);
  for (let page = 0; page < 6; page++) await client.older(CHAT);
  server.answers(
    /POST \/api\/chat/,
    streams(({ body }) => [
      { type: "start", turnId: body?.turnId ?? "", model: "m" },
      {
        type: "complete",
        turnId: body?.turnId ?? "",
        conversationId: CHAT,
        finishReason: "stop",
        status: "complete",
        usage: null,
        durable: true,
      },
    ]),
  );
  client.send(CHAT, "And now?");
  await vi.waitFor(() => expect(server.posts()).toHaveLength(1));
  const { messages, parentId } = server.posts()[0] ?? { messages: [], parentId: null };
  expect(parentId).toBe(uuid("m399"));
  expect(messages).toHaveLength(200);
  expect(messages.map((one) => one.orderKey)).toEqual([
    ...names("", 201, 400).map((key) => key.padStart(6, "0")),
    undefined,
  ]);
  await vi.waitFor(() => expect(client.chats.getState().conversations[CHAT]?.isStreaming).toBe(false));
  client.send(CHAT, "And then?");
  await vi.waitFor(() => expect(server.posts()).toHaveLength(2));
  expect(
    server
      .posts()[1]
      ?.messages.slice(-3)
      .map((one) => one.orderKey),
  ).toEqual(["000400", "000401", undefined]);
});

it("edits the first message on screen only once what it follows is here", async () => {
  chain("m", 60);
  const client = await visit(newOutbox());
  await client.open(CHAT);
  expect(client.edit(CHAT, uuid("m10"), "edited")).toBe(false);
  await vi.waitFor(() => expect(shown(client)).toHaveLength(60));
  expect(client.edit(CHAT, uuid("m10"), "edited")).toBe(true);
  await vi.waitFor(() => expect(server.posts()[0]?.parentId).toBe(uuid("m9")));
});

it("shows what is kept here of a message far up, with all that it hangs on", async () => {
  chain("m", 120);
  const outbox = newOutbox();
  const question = message(uuid("edited"), uuid("m3"), { content: "edited", unsaved: true });
  const answer = message(uuid("none"), uuid("edited"), {
    role: "assistant",
    content: "",
    status: "failed",
    unsaved: true,
  });
  await outbox.put({
    turnId: answer.id,
    conversationId: CHAT,
    draftId: null,
    body: { turnId: answer.id, budId: "default", messages: [], parentId: uuid("m3") },
    messages: [question, answer],
    over: true,
    at: Date.now(),
  });
  const client = await visit(outbox);
  await client.open(CHAT);
  expect(shown(client)).toEqual([...names("m", 0, 4), "edited", ""]);
});
