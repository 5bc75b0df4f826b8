import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Api } from "../src/core/api";
import { createConversations, UNDO_MS } from "../src/core/conversations";
import { NOBODY } from "../src/core/kinds";
import { createOthers, type Others } from "../src/core/others";
import { ApiError, Unreachable } from "../src/core/problems";
import { createStorage } from "../src/core/storage";
import type { Summary } from "../src/core/types";

const summary = (id: string, updatedAt = `2026-01-0${id}`): Summary => ({
  id,
  title: `Chat ${id}`,
  budId: "default",
  model: "m",
  createdAt: updatedAt,
  updatedAt,
});
const ids = (list: ReturnType<typeof createConversations>) => list.store.getState().items.map((item) => item.id);

/** A list over pages of a server: the cursor is the number of the next page. */
function listed(...pages: Summary[][]) {
  return listedBeside(undefined, ...pages);
}

/** The same, in a tab that `others` connects with another one. */
function listedBeside(others: Others | undefined, ...pages: Summary[][]) {
  const calls: string[] = [];
  let workspace: string | null = null;
  const removed: string[] = [];
  const kept: string[] = [];
  const api = {
    list: async (asked: string | null, cursor: string | null) => {
      const at = Number(cursor ?? 0);
      calls.push(`list ${asked ?? ""}${at}`);
      return { items: pages[at] ?? [], ...(at + 1 < pages.length ? { cursor: String(at + 1) } : {}) };
    },
    remove: vi.fn(async (id: string) => void calls.push(`remove ${id}`)),
    rename: vi.fn(async () => {}),
    newest: vi.fn(async () => ({})),
  };
  const list = createConversations(
    api as unknown as Api,
    createStorage().of(NOBODY),
    () => workspace,
    (id) => removed.push(id),
    (id) => kept.push(id),
    undefined,
    others,
  );
  const become = (next: string) => {
    workspace = next;
  };
  return { list, api, calls, removed, kept, become };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("loads page after page, each once, until there is none", async () => {
  const { list, calls } = listed([summary("5"), summary("4")], [summary("3")]);
  await list.ensure();
  await list.ensure();
  await list.more();
  await list.more();
  expect(ids(list)).toEqual(["5", "4", "3"]);
  expect(calls).toEqual(["list 0", "list 1"]);
});

it("keeps a chat that was active here a moment ago when the server's page does not have it yet", async () => {
  const { list } = listed([summary("9"), summary("4")]);
  list.touch(summary("5")); // the server's first one is newer: written from another tab
  await list.refresh();
  expect(ids(list)).toEqual(["5", "9", "4"]);
  await vi.advanceTimersByTimeAsync(60_000);
  await list.refresh();
  expect(ids(list)).toEqual(["9", "4"]);
});

it("deletes when the time for an undo is over, and says so to the store", async () => {
  const { list, calls, removed } = listed([summary("2"), summary("1")]);
  await list.ensure();
  list.hide("2");
  expect(ids(list)).toEqual(["1"]);
  expect(calls).not.toContain("remove 2");
  await vi.advanceTimersByTimeAsync(UNDO_MS);
  expect(calls).toContain("remove 2");
  expect(removed).toEqual(["2"]);
});

it("brings a chat back to its place, and deletes nothing", async () => {
  const { list, calls } = listed([summary("3"), summary("2"), summary("1")]);
  await list.ensure();
  list.hide("2");
  list.undo();
  await vi.advanceTimersByTimeAsync(2 * UNDO_MS);
  expect(ids(list)).toEqual(["3", "2", "1"]);
  expect(calls).toEqual(["list 0"]);
});

it("deletes the first when a second is deleted, and both when the page is left", async () => {
  const { list, calls } = listed([summary("2"), summary("1")]);
  await list.ensure();
  list.hide("2");
  list.hide("1");
  expect(calls).toContain("remove 2");
  list.settle(true);
  expect(calls).toContain("remove 1");
  await list.refresh();
  expect(ids(list)).toEqual([]);
});

it("deletes again while the server is not there, and the chat stays away meanwhile", async () => {
  const { list, api, calls, kept } = listed([summary("2"), summary("1")]);
  await list.ensure();
  api.remove.mockRejectedValueOnce(new Unreachable()).mockRejectedValueOnce(new ApiError(500, "internal", ""));
  list.hide("2");
  list.settle();
  await vi.advanceTimersByTimeAsync(0);
  expect(ids(list)).toEqual(["1"]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(calls).toContain("remove 2");
  expect(ids(list)).toEqual(["1"]);
  expect(kept).toEqual([]);
});

it("waits with a deletion while the browser is offline, however long that takes", async () => {
  const { list, api, calls } = listed([summary("2"), summary("1")]);
  await list.ensure();
  const onLine = vi.spyOn(navigator, "onLine", "get").mockReturnValue(false);
  api.remove.mockImplementation(async (id: string) => {
    if (!navigator.onLine) throw new Unreachable();
    calls.push(`remove ${id}`);
  });
  list.hide("2");
  list.settle();
  await vi.advanceTimersByTimeAsync(600_000);
  expect(ids(list)).toEqual(["1"]);
  onLine.mockRestore();
  globalThis.dispatchEvent(new Event("online"));
  await vi.advanceTimersByTimeAsync(0);
  expect(calls).toContain("remove 2");
});

it("puts a chat that could not be deleted back in its place, and says so", async () => {
  const { list, api, kept } = listed([summary("2"), summary("1")]);
  await list.ensure();
  api.remove.mockRejectedValue(new ApiError(500, "internal", ""));
  list.hide("2");
  list.settle();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ids(list)).toEqual(["2", "1"]);
  expect(list.store.getState().kept?.id).toBe("2");
  expect(kept).toEqual(["2"]);
});

it("gives a title back its old words when it could not be changed, and leaves what came meanwhile", async () => {
  const { list, api } = listed([summary("1")]);
  await list.ensure();
  let refuse: (error: Error) => void = () => {};
  api.rename.mockReturnValueOnce(
    new Promise((_, reject) => {
      refuse = reject;
    }),
  );
  const renaming = list.rename("1", "Better");
  expect(list.store.getState().items[0]?.title).toBe("Better");
  list.touch(summary("2"));
  refuse(new Error("no"));
  await expect(renaming).rejects.toThrow("no");
  expect(list.store.getState().items.map((item) => item.title)).toEqual(["Chat 2", "Chat 1"]);
});

it("shows the other workspace's chats although the first one's were still on their way", async () => {
  const { list, calls, become } = listed([summary("1")]);
  const first = list.ensure();
  become("team");
  list.reset();
  await Promise.all([first, list.refresh()]);
  expect(calls).toEqual(["list 0", "list team0"]);
  expect(list.store.getState().state).toBe("ready");
});

it("shows at once what the last visit saw", async () => {
  const { list } = listed([summary("2")]);
  await list.ensure();
  expect(ids(listed().list)).toEqual(["2"]);
});

it("asks again when its reader comes back, keeps what was loaded further down, and drops what was deleted elsewhere", async () => {
  const { list, api, calls } = listed([summary("5"), summary("4")], [summary("3")], [summary("2")]);
  await list.look();
  await list.more();
  expect(ids(list)).toEqual(["5", "4", "3"]);
  await list.look();
  expect(calls).toHaveLength(2);
  vi.advanceTimersByTime(60_000);
  const before = api.list;
  api.list = async (asked, cursor) =>
    cursor ? before(asked, cursor) : { items: [summary("6"), summary("4")], cursor: "1" };
  await list.look();
  expect(ids(list)).toEqual(["6", "4", "3"]);
  await list.more();
  expect(ids(list)).toEqual(["6", "4", "3", "2"]);
});

it("goes on showing the list when asking again failed", async () => {
  const { list, api } = listed([summary("1")]);
  await list.look();
  vi.advanceTimersByTime(60_000);
  api.list = async () => Promise.reject(new Unreachable());
  await list.look();
  expect(ids(list)).toEqual(["1"]);
  expect(list.store.getState().state).toBe("ready");
});

it("takes a long chat that is being deleted bit by bit for deleted", async () => {
  const { list, api, kept } = listed([summary("2"), summary("1")]);
  await list.ensure();
  let requests = 0;
  api.remove.mockImplementation(async () => {
    if (++requests < 20) throw new ApiError(503, "unavailable", "");
  });
  api.newest.mockRejectedValue(new ApiError(404, "not_found", ""));
  list.hide("2");
  list.settle();
  await vi.advanceTimersByTimeAsync(300_000);
  expect(requests).toBe(20);
  expect([ids(list), kept]).toEqual([["1"], []]);
});

/** Two tabs of one person: what one tells, the other hears. */
function tabs(): [Others, Others] {
  const heard: ((value: unknown) => void)[] = [];
  const tab = (at: number): Others =>
    createOthers({
      tell: (_, value) => heard[1 - at]?.(structuredClone(value)),
      listen: (_, listener) => {
        heard[at] = listener;
      },
    });
  return [tab(0), tab(1)];
}

const dated = (id: string) => summary(id, `2026-01-0${id}T00:00:00.000Z`);

it("tells the other tabs of what is written, renamed, deleted and brought back", async () => {
  const [one, other] = tabs();
  const here = listedBeside(one, [dated("2"), dated("1")]);
  const there = listedBeside(other, [dated("2"), dated("1")]);
  await Promise.all([here.list.ensure(), there.list.ensure()]);
  here.list.touch(dated("3"));
  expect(ids(there.list)).toEqual(["3", "2", "1"]);
  await here.list.rename("2", "Another title");
  expect(there.list.store.getState().items[1]?.title).toBe("Another title");
  here.list.hide("2");
  expect(ids(there.list)).toEqual(["3", "1"]);
  here.list.undo();
  expect(ids(there.list)).toEqual(["3", "2", "1"]);
  here.list.hide("1");
  here.list.settle();
  expect([ids(there.list), there.removed]).toEqual([["3", "2"], ["1"]]);
  await there.list.refresh();
  expect(ids(there.list)).toEqual(["3", "2"]);
});

it("tells nothing to a tab that shows another workspace, and takes in nothing that is no change", async () => {
  const [one, other] = tabs();
  const here = listedBeside(one, [dated("1")]);
  const there = listedBeside(other, []);
  there.become("team");
  here.list.touch(dated("3"));
  expect(ids(there.list)).toEqual([]);
  one.tell({ workspace: "team", touched: { id: "x" } } as unknown as Parameters<Others["tell"]>[0]);
  one.tell(null as unknown as Parameters<Others["tell"]>[0]);
  expect(ids(there.list)).toEqual([]);
});
