// @vitest-environment node
// What was asked and has no conversation yet: that asking again makes one chat of it, and whose it is once people sign in.

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Client } from "../src/core/client";
import { visibleBranch } from "../src/core/tree";
import { cut, json, problem, type Server, streams } from "./server";
import { closeBrowser, memory, newOutbox, openBrowser, visit } from "./visits";

vi.mock("../src/core/pause", async (original) => ({
  ...(await original<typeof import("../src/core/pause")>()),
  pause: (_: number, signal?: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      setTimeout(() => (signal?.aborted ? reject(signal.reason) : resolve()), 1);
    }),
}));

const CHAT = "01890000-0000-7000-8000-0000000000aa";
const POST = /^POST \/api\/chat/;
let server: Server;

beforeEach(async () => {
  server = await openBrowser();
});

afterEach(() => closeBrowser(server));

const eventually = (look: () => void | Promise<void>) => vi.waitFor(look, { timeout: 4_000, interval: 5 });
const draft = (client: Client) => client.drafts.store.getState().current;

function words(client: Client): string[] {
  const chats = [client.chats, client.drafts.chats].flatMap((store) => Object.values(store.getState().conversations));
  return chats.flatMap((chat) => visibleBranch(chat)).map((message) => message.content);
}

const failing = streams((asked) => [
  { type: "start", turnId: asked.body?.turnId ?? "", model: "m" },
  { type: "error", code: "model_unavailable", message: "", retryable: true, partial: false },
]);

it("gives what was written before signing in to who signs in, in this tab only", async () => {
  const outbox = newOutbox();
  server.answers(POST, cut);
  server.answers(/GET \/api\/turns/, problem(404, "not_found"));
  const before = await visit(outbox);
  before.send(draft(before), "Written too early");
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ owner: "" }]));
  const tab = sessionStorage;

  vi.stubGlobal("sessionStorage", memory());
  const elsewhere = await visit(outbox, "bob");
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ owner: "" }]));
  expect(words(elsewhere)).not.toContain("Written too early");

  vi.stubGlobal("sessionStorage", tab);
  const after = await visit(outbox, "alice");
  expect(words(after)).toContain("Written too early");
  await eventually(async () => expect(await outbox.all()).toMatchObject([{ owner: "alice" }]));
});

it("forgets after a day what was written before signing in and nobody claimed; what has an owner stays", async () => {
  const outbox = newOutbox();
  const entry = {
    conversationId: null,
    draftId: "draft",
    body: { turnId: "old", budId: "default", messages: [], parentId: null },
    messages: [],
    over: true,
    at: Date.now() - 25 * 3_600_000,
  };
  await outbox.put({ ...entry, turnId: "old", body: { ...entry.body, turnId: "old" } });
  await outbox.put({ ...entry, turnId: "fresh", body: { ...entry.body, turnId: "fresh" }, at: Date.now() });
  await outbox.put({ ...entry, turnId: "bobs", body: { ...entry.body, turnId: "bobs" } }, "bob");
  await visit(outbox, "alice");
  await eventually(async () => expect((await outbox.all()).map((one) => one.turnId).sort()).toEqual(["bobs", "fresh"]));
});

it("asks again in the chat of a turn that failed before its chat had a name, however long storing that takes", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, failing);
  let looks = 0;
  server.answers(/GET \/api\/turns/, (response, asked) => {
    looks += 1;
    const stored = looks > 12 ? { conversationId: CHAT } : {};
    json({ turnId: "", status: "failed", durable: true, ...stored })(response, asked);
  });
  const id = draft(client);
  client.send(id, "Well?");
  await eventually(() => expect(client.saving.getState()[id]).toBe(true));
  const answer = () => Object.values(client.chats.getState().conversations)[0]?.messages.at(-1)?.id ?? "";
  expect(client.again(id, answer())).toBe(false);
  await eventually(() => expect(client.drafts.store.getState().moved[id]).toBe(CHAT));
  expect(client.again(CHAT, answer())).toBe(true);
  await eventually(() => expect(server.posts()).toHaveLength(2));
  expect(server.asked.filter((one) => one.body).map((one) => one.path)).toEqual(["/api/chat", `/api/chat/${CHAT}`]);
});

it("begins a new chat again for a failed turn that nobody stored", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, failing);
  server.answers(/GET \/api\/turns/, json({ turnId: "", status: "failed", durable: false }));
  const id = draft(client);
  client.send(id, "Well?");
  await eventually(() => expect(client.saving.getState()[id]).toBe(true));
  await eventually(() => expect(client.saving.getState()[id]).toBeUndefined());
  const answer = client.drafts.chats.getState().conversations[id]?.messages.at(-1)?.id ?? "";
  expect(client.again(id, answer)).toBe(true);
  await eventually(() => expect(server.posts()).toHaveLength(2));
  expect(server.posts()[0]?.messages).toEqual(server.posts()[1]?.messages);
});

it("stops an answer once the network is back, however long that takes", async () => {
  const client = await visit(newOutbox());
  server.answers(POST, (response, asked) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write(`id: 1\ndata: {"type":"start","turnId":"${asked.body?.turnId}","model":"m"}\n\n`);
  });
  const id = draft(client);
  client.send(id, "Tell me all");
  const running = () => Object.values(client.turns.running.getState())[0]?.phase;
  await eventually(() => expect(running()).toBe("streaming"));
  let tries = 0;
  server.answers(/stop$/, (response, asked) => {
    tries += 1;
    (navigator.onLine ? json({}) : cut)(response, asked);
  });
  vi.stubGlobal("navigator", { onLine: false });
  vi.stubGlobal("addEventListener", (_: string, over: () => void) => setTimeout(over, 1)); // what ends a pause early
  const stopped = client.stop(client.drafts.current().messages.at(-1)?.id ?? "");
  await eventually(() => expect(tries).toBeGreaterThan(12));
  expect(running()).toBe("stopping");
  vi.stubGlobal("navigator", { onLine: true });
  await stopped;
  expect(running()).toBe("stopping");
});
