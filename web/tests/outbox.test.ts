import { expect, it, vi } from "vitest";
import { createDatabase } from "../src/core/database";
import { NOBODY } from "../src/core/kinds";
import { createOutbox, type OutboxEntry } from "../src/core/outbox";
import { createStorage } from "../src/core/storage";
import { message } from "./made";

const outboxIn = (database: string) => createOutbox(createStorage(createDatabase(database)).of(NOBODY));

const entry = (turnId: string, at: number): OutboxEntry => ({
  turnId,
  conversationId: null,
  draftId: "d",
  body: { turnId, budId: "default", messages: [], parentId: null },
  messages: [message("q", null)],
  over: false,
  at,
});

it("keeps entries in the order they were sent, for the next visit too, until they are removed", async () => {
  const outbox = outboxIn("test");
  await outbox.put(entry("later", 2));
  await outbox.put(entry("earlier", 1));
  const nextVisit = outboxIn("test");
  expect((await nextVisit.all()).map((one) => one.turnId)).toEqual(["earlier", "later"]);
  await nextVisit.remove("earlier");
  expect((await outbox.all()).map((one) => one.turnId)).toEqual(["later"]);
});

it("replaces an entry of the same turn", async () => {
  const outbox = outboxIn("again");
  await outbox.put(entry("t", 1));
  await outbox.put({ ...entry("t", 1), over: true });
  expect(await outbox.all()).toMatchObject([{ turnId: "t", over: true }]);
});

it("is empty where the database never answers, after a while in which it could have", async () => {
  const open = indexedDB.open.bind(indexedDB);
  vi.spyOn(indexedDB, "open").mockImplementationOnce((name) => {
    const request = open(name);
    for (const answer of ["success", "error", "blocked", "upgradeneeded"])
      request.addEventListener(answer, (event) => event.stopImmediatePropagation());
    return request;
  });
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  const outbox = outboxIn("silent");
  const all = Promise.all([outbox.put(entry("t", 1)), outbox.all()]);
  await vi.advanceTimersByTimeAsync(2_000);
  vi.useRealTimers();
  expect((await all)[1]).toEqual([]);
});
