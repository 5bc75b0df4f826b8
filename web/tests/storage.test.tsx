// Whatever is found in the browser's storage, the page starts, drops what does not fit, and sends nothing of it.

import { act, cleanup, render, screen } from "@testing-library/react";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DATABASE } from "../src/core/clear";
import { createDatabase } from "../src/core/database";
import { KINDS, type Kind, NOBODY, type Owner } from "../src/core/kinds";
import { createOutbox } from "../src/core/outbox";
import { createPage } from "../src/core/page";
import { createStorage } from "../src/core/storage";
import { strings } from "../src/strings";
import { App } from "../src/ui/App";
import { conversation, message } from "./made";
import { memory } from "./visits";

const AT = "2026-11-26T00:00:00.000Z";
const ID = "01890000-0000-7000-8000-000000000001";
const question = message("q", null, { unsaved: true });
const answer = message("a", "q", { role: "assistant", status: "streaming", unsaved: true });
const draft = { ...conversation(ID, [question, answer]), isStreaming: true, streamingMessageId: "a" };
draft.meta = { ...draft.meta, createdAt: AT, updatedAt: AT };
const ALICE: Owner = { issuer: "https://id.example", user: "alice" };

/** One record of each kind as the page writes it: a kind without one does not compile. */
const SAMPLES: Record<keyof typeof KINDS, unknown> = {
  auth: { issuer: "https://id.example", clientId: "web", scopes: ["openid"], logout: null },
  person: { id: "s", owner: ALICE },
  askAgain: true,
  signIn: "{}",
  tokens: { session: "s", owner: ALICE, key: "user:https://id.example:web", user: "{}" },
  buds: [{ id: "default", name: "Assistant", description: "", greeting: "Hello!", models: ["m"], avatar: "" }],
  choice: { bud: "default", model: null },
  workspace: "team",
  list: [{ id: ID, title: "A chat", budId: "default", model: "m", createdAt: AT, updatedAt: AT }],
  newChat: { draft, turnId: null },
  branches: [[ID, `000003:${ID}`]],
  text: "half written",
  outbox: {
    turnId: "a",
    conversationId: null,
    draftId: ID,
    body: { turnId: "a", budId: "default", messages: [{ id: "q", role: "user", content: "q" }], parentId: null },
    messages: [question, { ...answer, status: "failed" }],
    over: true,
    at: Date.parse(AT),
  },
};
const kinds = Object.entries(KINDS) as [keyof typeof KINDS, Kind<unknown>][];

const whole = (kind: Kind<unknown>, value: unknown) => ({
  v: kind.version,
  owner: NOBODY,
  workspace: null,
  at: Date.parse(AT),
  value,
});

/** The value with something else somewhere in it. */
const spoiled = (value: unknown): fc.Arbitrary<unknown> => {
  const anything = fc.oneof(fc.jsonValue(), fc.constantFrom("__proto__", "constructor", "", "../..", -1, 1e308, null));
  if (typeof value !== "object" || value === null) return anything;
  const inside = fc
    .constantFrom(...Object.keys(value))
    .chain((key) =>
      spoiled((value as Record<string, unknown>)[key]).map((other) =>
        Array.isArray(value) ? value.map((one, at) => (String(at) === key ? other : one)) : { ...value, [key]: other },
      ),
    );
  return fc.oneof({ weight: 1, arbitrary: anything }, { weight: 4, arbitrary: inside });
};

/** Anything that may stand under a key: text, JSON, and a record of the kind with something wrong in it. */
const found = (name: keyof typeof KINDS): fc.Arbitrary<string> =>
  fc.oneof(
    fc.string(),
    fc.constantFrom('{"owner":""}', "[{}]", "null", "{}", "[]", '"', "\u0000"),
    fc.json(),
    spoiled(whole(KINDS[name] as Kind<unknown>, SAMPLES[name])).map((value) => JSON.stringify(value) ?? ""),
  );

let asked: string[] = [];

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: false, addEventListener: () => {}, removeEventListener: () => {} }));
  vi.stubGlobal(
    "IntersectionObserver",
    class {
      observe() {}
      disconnect() {}
    },
  );
  asked = [];
  vi.stubGlobal("fetch", (path: string, init?: RequestInit) => {
    asked.push(`${init?.method ?? "GET"} ${path}`);
    return new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(init.signal?.reason)));
  });
});

afterEach(() => vi.unstubAllGlobals());

async function starts(): Promise<void> {
  const page = createPage();
  await page.start();
  await act(async () => void render(<App page={page} />));
  const isThere =
    screen.queryByRole("textbox", { name: strings.message }) ?? screen.queryByRole("button", { name: strings.signIn });
  expect(isThere, document.body.textContent ?? "").toBeTruthy();
  expect(screen.queryByText(strings.notStarted)).toBeNull();
  await act(async () => void (await new Promise((resolve) => setTimeout(resolve, 5)))); // the database is read
  expect(asked.filter((one) => one.startsWith("POST"))).toEqual([]);
  await act(async () => page.store.getState().client.end());
  cleanup();
  localStorage.clear();
  sessionStorage.clear();
}

const keyOf = (kind: Kind<unknown>) => `chat.${kind.name}${kind.scope === "workspace" ? "." : ""}`;
const areaOf = (kind: Kind<unknown>) => (kind.area === "local" ? localStorage : sessionStorage);

it.each(kinds.filter(([, kind]) => kind.area !== "database"))(
  "starts with anything in the place of `%s`",
  async (name, kind) => {
    const keys = [keyOf(kind), `${keyOf(kind)}.new`, `${keyOf(kind)}.${ID}`];
    await fc.assert(
      fc.asyncProperty(found(name), fc.constantFrom(...keys), async (text, key) => {
        areaOf(kind).setItem(key, text);
        await starts();
      }),
      { numRuns: 12 },
    );
  },
  30_000,
);

it("starts with anything in the rows of the database, and sends none of it", async () => {
  const rows = createDatabase(DATABASE);
  const row = whole(KINDS.outbox as Kind<unknown>, SAMPLES.outbox);
  const old = { ...(SAMPLES.outbox as object), owner: "", over: false };
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.object(), spoiled(row), spoiled(old)),
      fc.oneof(fc.constant("a"), fc.string({ minLength: 1 }), fc.integer(), fc.date({ noInvalidDate: true })),
      async (value, turnId) => {
        await rows.put(KINDS.outbox.name, { ...(typeof value === "object" ? value : {}), turnId });
        await starts();
        await rows.remove(KINDS.outbox.name, turnId as string);
      },
    ),
    { numRuns: 60 },
  );
}, 60_000);

it.each(kinds)("reads back what it wrote as `%s`, and not what another version wrote", async (name, kind) => {
  const storage = createStorage();
  if (kind.area === "database") {
    const outbox = createOutbox(storage.of(ALICE));
    await outbox.put(SAMPLES.outbox as never);
    expect(await outbox.all()).toEqual([SAMPLES.outbox]);
    expect(await createOutbox(storage.of(NOBODY)).all()).toEqual([]);
    await storage.clear(() => false);
    expect(await outbox.all()).toEqual([]);
    return;
  }
  const slot = storage.of(ALICE).slot(kind);
  expect(slot.set(SAMPLES[name])).toBe(true);
  expect(slot.get()).toEqual(SAMPLES[name]);
  const text = areaOf(kind).getItem(keyOf(kind)) ?? "";
  areaOf(kind).setItem(keyOf(kind), JSON.stringify({ ...JSON.parse(text), v: kind.version + 1 }));
  expect(slot.get()).toBeNull();
});

it.each(kinds.filter(([, kind]) => kind.scope !== "browser" && kind.area !== "database"))(
  "shows `%s` to nobody but its owner, and removes it when they sign out",
  async (name, kind) => {
    const storage = createStorage();
    storage.of(ALICE).slot(kind).set(SAMPLES[name]);
    for (const other of [NOBODY, { ...ALICE, user: "bob" }, { ...ALICE, issuer: "https://other.example" }])
      expect(storage.of(other).slot(kind).get()).toBeNull();
    const alices = storage.of(ALICE);
    alices.close();
    expect(alices.slot(kind).get()).toBeNull();
    expect(alices.slot(kind).set(SAMPLES[name])).toBe(false);
    await storage.clear(() => false);
    expect(areaOf(kind).length).toBe(0);
  },
);

const refusals: [string, () => void][] = [
  ["cannot be named", () => refuseGlobals()],
  ["takes nothing more", () => stub({ setItem: quota })],
  ["cannot be read or written", () => stub({ getItem: quota, setItem: quota, key: quota })],
];

function quota(): never {
  throw new DOMException("no room", "QuotaExceededError");
}

function stub(otherwise: Partial<Storage>): void {
  for (const name of ["localStorage", "sessionStorage"]) vi.stubGlobal(name, Object.assign(memory(), otherwise));
}

function refuseGlobals(): void {
  for (const name of ["localStorage", "sessionStorage", "indexedDB"])
    vi.spyOn(globalThis as never, name as never, "get").mockImplementation((() => {
      throw new DOMException("refused", "SecurityError");
    }) as never);
}

it.each(refusals)("starts where the storage %s, and keeps in memory what it is given", async (_, refuse) => {
  refuse();
  const slot = createStorage().of(NOBODY).slot(KINDS.text, "new");
  expect(slot.set("half written")).toBe(false);
  expect(slot.get()).toBe("half written");
  const page = createPage();
  await page.start();
  await act(async () => void render(<App page={page} />));
  expect(screen.getByRole("textbox", { name: strings.message })).toBeTruthy();
  page.store.getState().client.end();
  cleanup();
  vi.restoreAllMocks();
});

it("makes room for what matters by what can be loaded again", () => {
  const kept = memory();
  const { setItem } = kept;
  kept.setItem = (key, text) => (kept.getItem("chat.list.") === null ? setItem(key, text) : quota());
  vi.stubGlobal("localStorage", kept);
  const records = createStorage().of(NOBODY);
  records.slot(KINDS.list).set(SAMPLES.list as never);
  expect(records.slot(KINDS.choice).set({ bud: "other", model: null })).toBe(true);
  expect(records.slot(KINDS.choice).get()).toEqual({ bud: "other", model: null });
  expect(records.slot(KINDS.list).get()).toBeNull();
});

it("reads the rows that the version before wrote, under the issuer it knew", async () => {
  const rows = createDatabase("old");
  const storage = createStorage(rows);
  storage.shared.slot(KINDS.auth).set(SAMPLES.auth as never);
  await rows.put(KINDS.outbox.name, { ...(SAMPLES.outbox as object), owner: "alice" });
  expect(await createOutbox(storage.of(ALICE)).all()).toEqual([SAMPLES.outbox]);
});

it("replaces a database of another shape by its own", async () => {
  await new Promise<void>((resolve) => {
    const opening = indexedDB.open("newer", 7);
    opening.onupgradeneeded = () => void opening.result.createObjectStore("something else");
    opening.onsuccess = () => {
      opening.result.close();
      resolve();
    };
  });
  const outbox = createOutbox(createStorage(createDatabase("newer")).of(ALICE));
  await outbox.put(SAMPLES.outbox as never);
  expect(await outbox.all()).toEqual([SAMPLES.outbox]);
});
