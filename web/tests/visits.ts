// Visits of the client without its pages: what a browser would give it, and an API on a real socket.

import { vi } from "vitest";
import { type Client, createClient } from "../src/core/client";
import type { Outbox } from "../src/core/outbox";
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
  for (const { turns } of visits.splice(0)) for (const id of Object.keys(turns.running.getState())) turns.forget(id);
  vi.unstubAllGlobals();
  await server.close();
}

/** The same storage is found by every visit of a test. */
export async function visit(outbox: Outbox, user = ""): Promise<Client> {
  const client = createClient(outbox);
  visits.push(client);
  if (user) client.auth.store.setState({ state: "signedIn", user });
  await client.start();
  client.showNew(true);
  return client;
}

export function memory(): Storage {
  const kept = new Map<string, string>();
  return {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key),
  } as Storage;
}
