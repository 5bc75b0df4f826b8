// @vitest-environment node
// The API's client: what every request carries, whichever function of it made the request.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createApi } from "../src/core/api";
import { type Server, startServer } from "./server";

const ID = "01890000-0000-7000-8000-0000000000aa";
const sha256 = (body: Uint8Array) => createHash("sha256").update(body).digest("hex");
let server: Server;

beforeEach(async () => {
  server = await startServer();
});

afterEach(async () => {
  vi.unstubAllGlobals();
  await server.close();
});

/** Calls every function of the client once. What they answer is of no interest here: the server answers 404. */
async function askEverything(): Promise<void> {
  const api = createApi({ current: async () => "a.b.c", renew: async () => false }, server.url);
  const signal = new AbortController().signal;
  const calls = Object.values(api) as ((...args: unknown[]) => Promise<unknown>)[];
  await Promise.all(calls.map((call) => call(ID, { text: "häppy 😀" }, signal).catch(() => null)));
  expect(server.asked.length).toBeGreaterThanOrEqual(calls.length);
}

it("sends the digest of its body with every request but GET and HEAD, the empty body's too", async () => {
  await askEverything();
  const signed = server.asked.filter(({ method }) => method !== "GET" && method !== "HEAD");
  expect(new Set(signed.map(({ method }) => method))).toEqual(new Set(["POST", "PATCH", "DELETE"]));
  expect(new Set(signed.map(({ raw }) => raw.length > 0))).toEqual(new Set([true, false]));
  for (const { method, path, headers, raw } of signed)
    expect(`${method} ${path} ${headers["x-amz-content-sha256"]}`).toBe(`${method} ${path} ${sha256(raw)}`);
});

it("is the only one that asks: a request made elsewhere would lack what the edge needs", () => {
  const src = fileURLToPath(new URL("../src", import.meta.url));
  const asking = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.tsx?$/.test(file))
    .filter((file) => /\bfetch\(|XMLHttpRequest|sendBeacon|EventSource/.test(readFileSync(`${src}/${file}`, "utf8")));
  // The second asks the issuer. The third asks whether anybody is there: a GET without a token.
  expect(asking.sort()).toEqual(["core/api.ts", "core/oidc.ts", "core/reach.ts"]);
  expect(readFileSync(`${src}/core/reach.ts`, "utf8")).not.toContain("method:");
});

it("sends no body with a GET, which the edge would refuse", async () => {
  await askEverything();
  for (const { method, raw } of server.asked) if (method === "GET") expect(raw.length).toBe(0);
});

it("knows the digest of the empty body where the browser makes none", async () => {
  vi.stubGlobal("crypto", {});
  const api = createApi({ current: async () => null, renew: async () => false }, server.url);
  await api.stop(ID).catch(() => null);
  expect(server.asked[0]?.headers["x-amz-content-sha256"]).toBe(sha256(Buffer.alloc(0)));
});

it("writes a query so that both readings of `+` and `*` are the same", async () => {
  const seen: string[] = [];
  vi.stubGlobal("fetch", async (url: string) => {
    seen.push(url);
    return new Response(JSON.stringify({ items: [] }));
  });
  const api = createApi({ current: async () => null, renew: async () => false }, server.url);
  await api.list("a b+c*d'(e)!~", "f+g*h");
  const query = seen[0]?.split("?")[1] ?? "";
  expect(query).not.toMatch(/[+*'()! ]/);
  expect(Object.fromEntries(new URLSearchParams(query))).toMatchObject({
    workspaceId: "a b+c*d'(e)!~",
    cursor: "f+g*h",
  });
});
