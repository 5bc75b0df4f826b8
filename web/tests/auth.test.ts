import { beforeEach, expect, it, vi } from "vitest";
import { createAuth } from "../src/core/auth";
import { KINDS } from "../src/core/kinds";
import { createManager } from "../src/core/oidc";
import { workspacesOf } from "../src/core/sessions";
import { createStorage } from "../src/core/storage";
import type { AuthConfig } from "../src/core/types";

const redirects = vi.hoisted(() => [] as string[]);
vi.mock("../src/core/oidc", async (original) => ({
  ...(await original<typeof import("../src/core/oidc")>()),
  createManager: vi.fn(({ issuer }: AuthConfig) => ({
    getUser: async () => null,
    stopSilentRenew: () => {},
    signinRedirect: async () => void redirects.push(issuer),
  })),
}));

const config = (issuer: string): AuthConfig => ({ issuer, clientId: "web", scopes: ["openid"] });
let storage: ReturnType<typeof createStorage>;
beforeEach(() => {
  storage = createStorage();
});
const known = () => storage.shared.slot(KINDS.auth);
const authOf = (ask: () => Promise<{ auth: AuthConfig | null }>) => createAuth(ask, storage);

const unreachable = () => Promise.reject(new Error("nobody answers"));

const token = (claims: object) =>
  `h.${btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims))))
    .replace(/\+/g, "-")
    .replace(/\//g, "_")
    .replace(/=+$/, "")}.s`;

it("lists the token's workspaces, the personal one first", () => {
  expect(workspacesOf(token({ sub: "me", workspaces: ["blue", "grün", "me"] }))).toEqual(["me", "blue", "grün"]);
});

it("takes Cognito's groups where the claim of our own is missing", () => {
  expect(workspacesOf(token({ sub: "me", "cognito:groups": ["blue"] }))).toEqual(["me", "blue"]);
});

it.each(["opaque", "a.b.c", ""])("knows none from a token that is not ours to read: %j", (opaque) => {
  expect(workspacesOf(opaque)).toEqual([]);
});

it("signs in by what the server says now, not by what an earlier deployment said", async () => {
  known().set(config("https://old.example"));
  const auth = authOf(async () => ({ auth: config("https://new.example") }));
  await auth.start();
  await auth.signIn();
  expect(redirects.splice(0)).toEqual(["https://new.example"]);
  expect(known().get()?.issuer).toBe("https://new.example");
});

it("signs in by what is remembered while the server does not answer", async () => {
  known().set(config("https://old.example"));
  await authOf(unreachable).signIn();
  expect(redirects.splice(0)).toEqual(["https://old.example"]);
});

it("says that signing in did not work when there is nothing to sign in by, or nothing to do it with", async () => {
  const auth = authOf(unreachable);
  await auth.signIn();
  expect(auth.store.getState().failed).toBe(true);

  known().set(config("https://old.example"));
  vi.mocked(createManager).mockImplementationOnce(() => {
    throw new Error("did not load");
  });
  const next = authOf(unreachable);
  expect(await next.start()).toBe(null);
  expect(next.store.getState()).toMatchObject({ state: "signedOut", failed: true });
  await next.signIn();
  expect(redirects.splice(0)).toEqual(["https://old.example"]);
});

it("opens the page of a server that asks nobody to sign in any more", async () => {
  known().set(config("https://old.example"));
  const auth = authOf(async () => ({ auth: null }));
  await auth.start();
  await auth.signIn();
  expect(auth.store.getState().state).toBe("open");
});
