// Visits of the client without its pages: what a browser would give it, and an API on a real socket.

import { vi } from "vitest";
import { createAuth } from "../src/core/auth";
import { askConfig, type Client, createClient } from "../src/core/client";
import { createDatabase } from "../src/core/database";
import { KINDS, NOBODY, type Owner } from "../src/core/kinds";
import { createOutbox, type OutboxEntry } from "../src/core/outbox";
import { createStorage, type Storage } from "../src/core/storage";
import { json, type Server, startServer } from "./server";

const visits: Client[] = [];

/** An API with nothing in it yet, and a browser that asks it; `closeBrowser` takes both away. */
export async function openBrowser(): Promise<Server> {
  const server = await startServer();
  server.answers(/GET \/api\/buds/, json([]));
  server.answers(/GET \/api\/conversations$/, json({ items: [] }));
  const ask = globalThis.fetch;
  vi.stubGlobal("fetch", (path: string, init: RequestInit) => ask(server.url + path, init));
  vi.stubGlobal("sessionStorage", memory());
  vi.stubGlobal("localStorage", memory());
  vi.stubGlobal("location", { pathname: "/new", origin: server.url });
  vi.stubGlobal("window", new EventTarget());
  vi.stubGlobal("navigator", { onLine: true });
  return server;
}

/** Ends the visits, too: a turn that is tried again would reach the next test's server. */
export async function closeBrowser(server: Server): Promise<void> {
  for (const client of visits.splice(0)) client.end();
  vi.unstubAllGlobals();
  await server.close();
}

/** What the browsers of a test keep in their database, whoever it is for. */
export interface Kept {
  storage: Storage;
  all: () => Promise<(OutboxEntry & { owner: string })[]>;
  put: (entry: OutboxEntry, user?: string) => Promise<void>;
}

let databases = 0;

export const person = (user: string): Owner => (user ? { issuer: ISSUER, user } : NOBODY);

/** A browser's database of its own. */
export function newOutbox(): Kept {
  const rows = createDatabase(`outbox-${databases++}`);
  const storage = createStorage(rows);
  const outboxOf = (user: string) => createOutbox(storage.of(person(user)));
  return {
    storage,
    all: async () => {
      const found: (OutboxEntry & { owner: string })[] = [];
      await rows.each(KINDS.outbox.name, (raw) => {
        const row = raw as { owner: Owner; value: OutboxEntry };
        found.push({ ...row.value, owner: row.owner.user });
      });
      return found.sort((one, other) => one.at - other.at);
    },
    put: (entry, user = "") => outboxOf(user).put(entry),
  };
}

const ISSUER = "https://id.example";

/** The same storage is found by every visit of a test. */
export async function visit({ storage }: Kept, user = "", workspaces: string[] = []): Promise<Client> {
  const auth = createAuth(askConfig, storage);
  if (user)
    auth.store.setState({
      state: "signedIn",
      owner: person(user),
      session: `of-${user}`,
      workspaces: [user, ...workspaces],
    });
  const client = createClient(storage, auth);
  visits.push(client);
  client.start();
  client.showNew(true);
  return client;
}

export function memory(): globalThis.Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
    key: (at: number) => [...kept.keys()][at] ?? null,
    get length() {
      return kept.size;
    },
  } as globalThis.Storage;
}
