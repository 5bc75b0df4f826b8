// @vitest-environment node
// The end of a person's session: what is on its way then finds nothing it could change, and nothing it could send.

import "fake-indexeddb/auto";
import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Client } from "../src/core/client";
import { visibleBranch } from "../src/core/tree";
import { cut, json, problem, type Server, streams } from "./server";
import { closeBrowser, newOutbox, openBrowser, visit } from "./visits";

const CHAT = "01890000-0000-7000-8000-0000000000aa";
const POST = /^POST \/api\/chat/;
const AT = "2026-11-26T00:00:00.000Z";
let server: Server;

beforeEach(async () => {
  server = await openBrowser();
});

afterEach(() => closeBrowser(server));

const eventually = (look: () => void | Promise<void>) => vi.waitFor(look, { timeout: 8_000, interval: 10 });
const quiet = () => new Promise((resolve) => setTimeout(resolve, 60));
const draft = (client: Client) => client.drafts.store.getState().current;

function words(client: Client): string[] {
  const chats = [client.chats, client.drafts.chats].flatMap((store) => Object.values(store.getState().conversations));
  return chats.flatMap((chat) => visibleBranch(chat)).map((message) => message.content);
}

/** All that the browser keeps, as text. */
const everything = async (kept: ReturnType<typeof newOutbox>) =>
  JSON.stringify([
    ...[localStorage, sessionStorage].map((storage) =>
      Array.from({ length: storage.length }, (_, at) => storage.getItem(storage.key(at) ?? "")),
    ),
    await kept.all(),
  ]);

/** What may be under way when a session ends, and what lets it come to its end afterwards. */
const underWay: [string, (client: Client) => Promise<() => void>][] = [
  [
    "a stream",
    async (client) => {
      let response: ServerResponse | undefined;
      server.answers(POST, (one) => {
        response = one;
        one.writeHead(200, { "content-type": "text/event-stream" });
        one.write('id: 1\ndata: {"type":"token","content":"SECRET begins"}\n\n');
      });
      client.send(draft(client), "SECRET question");
      await eventually(() => expect(words(client)).toContain("SECRET begins"));
      return () => response?.write('id: 2\ndata: {"type":"token","content":" SECRET goes on"}\n\n');
    },
  ],
  [
    "a message that finds no server",
    async (client) => {
      server.answers(POST, cut);
      client.send(draft(client), "SECRET question");
      await eventually(() => expect(server.posts().length).toBeGreaterThan(0));
      return () => {};
    },
  ],
  [
    "a message just sent",
    async (client) => {
      client.send(draft(client), "SECRET question");
      return () => {};
    },
  ],
  [
    "the list",
    async (client) => {
      let answer = () => {};
      server.answers(/GET \/api\/conversations$/, (response, asked) => {
        const item = { id: CHAT, title: "SECRET title", budId: "default", model: "m", createdAt: AT, updatedAt: AT };
        answer = () => json({ items: [item] })(response, asked);
      });
      void client.list.refresh();
      await eventually(() => expect(server.asked.some((one) => one.path === "/api/conversations")).toBe(true));
      return () => answer();
    },
  ],
  [
    "an answer that waits to be stored",
    async (client) => {
      server.answers(
        POST,
        streams((asked) => [
          { type: "token", content: "SECRET answer" },
          {
            type: "complete",
            turnId: asked.body?.turnId ?? "",
            conversationId: null as unknown as string,
            finishReason: "stop",
            status: "complete",
            usage: null,
            durable: true,
          },
        ]),
      );
      server.answers(/GET \/api\/turns/, json({ status: "complete", durable: true }));
      client.send(draft(client), "SECRET question");
      await eventually(() => expect(Object.keys(client.saving.getState())).toHaveLength(1));
      return () =>
        server.answers(/GET \/api\/turns/, json({ status: "complete", durable: true, conversationId: CHAT }));
    },
  ],
  [
    "a chat that cannot be opened",
    async (client) => {
      server.answers(/GET \/api\/conversations\/.+/, problem(503, "unavailable"));
      void client.open(CHAT);
      await eventually(() => expect(client.opening.getState()[CHAT]).toBe("failed"));
      return () => {};
    },
  ],
  [
    "what is being written",
    async (client) => {
      client.written.set("new", "SECRET draft");
      return () => client.written.set("new", "SECRET draft, written by a component that is about to go");
    },
  ],
];

it.each(underWay)(
  "of a session leaves nothing of %s behind, and the next person's page knows nothing",
  async (_, begin) => {
    const kept = newOutbox();
    const alices = await visit(kept, "alice");
    const goOn = await begin(alices);
    alices.end();
    await kept.storage.clear(() => false);
    const bobs = await visit(kept, "bob");
    const asked = server.asked.length;
    goOn();
    await quiet();

    expect(await everything(kept)).not.toContain("SECRET");
    expect(words(bobs).join()).not.toContain("SECRET");
    expect(JSON.stringify(bobs.list.store.getState())).not.toContain("SECRET");
    const late = server.asked.slice(asked).filter((one) => one.method !== "GET" || one.path.includes(CHAT));
    expect(late).toEqual([]);
  },
);

it("waits with signing out for what is on its way to the server", async () => {
  const client = await visit(newOutbox(), "alice");
  let answer = () => {};
  server.answers(POST, (response) => {
    answer = () => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(": there\n\n");
    };
  });
  client.send(draft(client), "Just before I go");
  expect(client.unsaved()).toBe(1);
  let answered = false;
  void client.turns.answered().then(() => {
    answered = true;
  });
  await eventually(() => expect(server.posts()).toHaveLength(1));
  expect(answered).toBe(false);
  answer();
  await eventually(() => expect(answered).toBe(true));
  expect(client.unsaved(), "the server has it").toBe(0);
});

it("keeps a chat in the workspace it was begun in, whichever is looked at when it is sent again", async () => {
  const client = await visit(newOutbox(), "alice", ["team"]);
  server.answers(POST, problem(503, "unavailable"));
  const id = draft(client);
  client.send(id, "Mine alone");
  await eventually(() => expect(server.posts().length).toBeGreaterThan(0));
  await client.stop(client.drafts.chats.getState().conversations[id]?.streamingMessageId ?? "");
  client.switchWorkspace("team");
  expect(draft(client), "/new is another chat in another workspace").not.toBe(id);
  expect(client.isHere(client.drafts.chats.getState().conversations[id]?.meta.workspaceId ?? null)).toBe(false);

  server.answers(POST, problem(413, "too_large"));
  const before = server.posts().length;
  client.send(id, "Still mine");
  client.send(draft(client), "For the team");
  await eventually(() => expect(server.posts().length).toBe(before + 2));
  const sent = server.posts().slice(before);
  expect(sent.map((body) => [body.messages.at(-1)?.content, body.workspaceId])).toEqual([
    ["Still mine", undefined],
    ["For the team", "team"],
  ]);
});

it("lists a chat that goes on in another workspace there only", async () => {
  const client = await visit(newOutbox(), "alice", ["team"]);
  let name = () => {};
  server.answers(POST, (response) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('id: 1\ndata: {"type":"token","content":"Hm"}\n\n');
    name = () => response.write(`id: 2\ndata: {"type":"conversationCreated","conversationId":"${CHAT}"}\n\n`);
  });
  const id = draft(client);
  client.send(id, "Mine alone");
  await eventually(() => expect(words(client)).toContain("Hm"));
  client.switchWorkspace("team");
  name();
  await eventually(() => expect(client.drafts.store.getState().moved[id]).toBe(CHAT));
  expect(client.list.store.getState().items).toEqual([]);
});

it("keeps what is half written for the workspace it was written in", async () => {
  const client = await visit(newOutbox(), "alice", ["team"]);
  client.written.set("new", "For me");
  client.switchWorkspace("team");
  expect(client.written.get("new")).toBe("");
  client.switchWorkspace(null);
  expect(client.written.get("new")).toBe("For me");
});
