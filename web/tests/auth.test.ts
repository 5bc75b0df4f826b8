import { ErrorResponse, ErrorTimeout } from "oidc-client-ts";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createAuth } from "../src/core/auth";
import { KINDS } from "../src/core/kinds";
import { createManager } from "../src/core/oidc";
import { Unreachable } from "../src/core/problems";
import { workspacesOf } from "../src/core/sessions";
import { createStorage } from "../src/core/storage";
import type { AuthConfig } from "../src/core/types";

const redirects = vi.hoisted(() => [] as string[]);
vi.mock("../src/core/oidc", async (original) => ({
  ...(await original<typeof import("../src/core/oidc")>()),
  leave: async () => null,
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
afterEach(() => void vi.mocked(createManager).mockReset());
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

/** A user as the sign-in library has one, with a refresh token. */
const USER = {
  access_token: token({ sub: "alice" }),
  refresh_token: "for later",
  profile: { sub: "alice" },
};

/** A tab in which alice is signed in, whose next renewal goes as `renewal` says. */
async function signedIn(renewal: () => Promise<unknown>) {
  known().set(config("https://id.example"));
  let stores: { userStore: { get: (key: string) => Promise<string | null> } } | null = null;
  vi.mocked(createManager).mockImplementation(((_: AuthConfig, __: string, given: typeof stores) => {
    stores = given;
    return {
      getUser: async () => ((await stores?.userStore.get("user:key")) ? USER : null),
      signinSilent: renewal,
      stopSilentRenew: () => {},
    };
  }) as never);
  const owner = { issuer: "https://id.example", user: "alice" };
  storage.shared.slot(KINDS.person).set({ id: "s", owner });
  storage.shared.slot(KINDS.tokens).set({ session: "s", owner, key: "user:key", user: JSON.stringify(USER) });
  const auth = authOf(async () => ({ auth: config("https://id.example") }));
  await auth.start();
  return auth;
}

it.each([
  ["no network", new TypeError("Failed to fetch")],
  ["a time-out", new ErrorTimeout("no answer")],
  ["a server in trouble", new Error("Bad Gateway (502)")],
  ["a server that says that it is in trouble", new ErrorResponse({ error: "temporarily_unavailable" } as never)],
])("keeps a session whose renewal met %s: it is tried again", async (_, trouble) => {
  let tries = 0;
  const auth = await signedIn(async () => {
    if (++tries === 1) throw trouble;
    return USER;
  });
  expect(auth.store.getState().state).toBe("signedIn");
  await expect(auth.tokens.renew()).rejects.toBeInstanceOf(Unreachable);
  expect(auth.store.getState().state).toBe("signedIn");
  expect(await auth.tokens.renew()).toBe(true);
});

it("ends a session that its issuer refuses to renew", async () => {
  const auth = await signedIn(async () => {
    throw new ErrorResponse({ error: "invalid_grant" } as never);
  });
  expect(await auth.tokens.renew()).toBe(false);
  expect(auth.store.getState()).toMatchObject({ state: "signedOut", session: "" });
  expect(await auth.tokens.current()).toBeNull();
});

it("gives no token of a session that another tab has ended, though nobody told this one", async () => {
  const auth = await signedIn(async () => USER);
  expect(await auth.tokens.current()).toBe(USER.access_token);
  storage.shared.slot(KINDS.person).set(null);
  expect(await auth.tokens.current()).toBeNull();
  expect(auth.store.getState().state).toBe("signedOut");
  expect(storage.shared.slot(KINDS.tokens).get()).toBeNull();
});

it("takes up no session that ended while its tab was closed", async () => {
  await signedIn(async () => USER);
  storage.shared.slot(KINDS.person).set({ id: "another", owner: { issuer: "https://id.example", user: "bob" } });
  const reopened = authOf(unreachable);
  await reopened.start();
  expect(reopened.store.getState().state).toBe("signedOut");
  expect(storage.shared.slot(KINDS.tokens).get()).toBeNull();
});

it("takes in nothing of a renewal that comes back after its session has ended", async () => {
  let comeBack: (user: unknown) => void = () => {};
  const auth = await signedIn(
    () =>
      new Promise((resolve) => {
        comeBack = resolve;
      }),
  );
  const renewing = auth.tokens.renew();
  await vi.waitFor(() => expect(comeBack.length).toBe(1));
  await new Promise((resolve) => setTimeout(resolve));
  storage.shared.slot(KINDS.person).set(null);
  globalThis.dispatchEvent(new Event("focus"));
  comeBack(USER);
  expect(await renewing).toBe(false);
  expect(auth.store.getState()).toMatchObject({ state: "signedOut", session: "" });
});
