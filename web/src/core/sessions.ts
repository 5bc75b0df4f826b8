// The sign-in itself, loaded only where the server asks for it: begun, renewed, ended.
//
// A browser has one session at a time: the record `person` names it, and every tab that signs in joins it. A tab whose session is
// not that one any more, because another tab signed out or someone else signed in, lets go of everything.

import type { StateStore, UserManager } from "oidc-client-ts";
import type { StoreApi } from "zustand/vanilla";
import { ABSENT, type AuthState } from "./auth";
import { newId } from "./ids";
import { isSame, KINDS, NOBODY, type Owner } from "./kinds";
import { createManager, isRefusal, leave } from "./oidc";
import { Unreachable } from "./problems";
import { CALLBACK, type Storage } from "./storage";
import { createTabs, type Tabs } from "./tabs";
import type { AuthConfig } from "./types";

const CLAIMS = ["workspaces", "cognito:groups"]; // the claims that may list them: ours, and Cognito's
const LEAVING_MS = 2_000; // so long does a sign-out wait for what is on its way to the server

interface Session {
  id: string;
  owner: Owner;
}

export type Sessions = ReturnType<typeof createSessions>;

export function createSessions(store: StoreApi<AuthState>, storage: Storage) {
  const known = storage.shared.slot(KINDS.auth);
  const person = storage.shared.slot(KINDS.person);
  const askAgain = storage.shared.slot(KINDS.askAgain);
  const tokens = storage.shared.slot(KINDS.tokens);
  let made: { of: string; users: UserManager; close: () => void } | null = null;
  let leaving: Promise<void> | null = null;
  let joined: Session | null = null;
  let isJoining = false;
  const over = new AbortController(); // of the page, never aborted: the channel lives as long
  const tabs: Tabs = createTabs("sessions", over.signal);

  /** Whether this tab's session is not the browser's any more. Where tabs share no storage, each is told. */
  const isOver = () => joined !== null && storage.isShared() && person.get()?.id !== joined.id;

  /** The tab joins the browser's session, or begins another one, which ends that of anyone else. */
  function join(owner: Owner): void {
    const now = person.get();
    joined = now && isSame(now.owner, owner) ? now : { id: newId(), owner };
    person.set(joined);
    tabs.tell("joined", joined);
  }

  /** Where the sign-in library keeps its tokens. What comes back after the session has ended is not taken in. */
  function tokenStore({ issuer }: AuthConfig, isOpen: () => boolean): StateStore {
    const get = async (key: string) => {
      const kept = isOpen() ? tokens.get() : null;
      if (!kept || kept.key !== key || kept.owner.issuer !== issuer) return null;
      if (!joined) {
        const now = storage.isShared() ? person.get() : { id: kept.session };
        if (now?.id === kept.session) joined = { id: kept.session, owner: kept.owner };
        else tokens.set(null);
      }
      return kept.session === joined?.id ? kept.user : null;
    };
    return {
      get,
      set: async (key, user) => {
        if (!isOpen()) return;
        const owner = { issuer, user: subOf(user) };
        if (isJoining) join(owner);
        if (joined && isSame(joined.owner, owner) && !isOver()) tokens.set({ session: joined.id, owner, key, user });
      },
      remove: async (key) => {
        const user = await get(key);
        if (isOpen()) tokens.set(null);
        return user;
      },
      getAllKeys: async () => [],
    };
  }

  const stateStore: StateStore = {
    get: async (key) => storage.crossing(key).get(),
    set: async (key, value) => void storage.crossing(key).set(value),
    remove: async (key) => {
      const value = storage.crossing(key).get();
      storage.crossing(key).set(null);
      return value;
    },
    getAllKeys: async () => storage.crossings(),
  };

  /** One for each configuration and session. */
  function manager(config: AuthConfig): UserManager {
    const of = JSON.stringify(config);
    if (made?.of === of) return made.users;
    made?.close();
    let isOpen = true;
    const userStore = tokenStore(config, () => isOpen);
    const users = createManager(config, location.origin + CALLBACK, { userStore, stateStore });
    const close = () => {
      isOpen = false;
      users.stopSilentRenew();
    };
    made = { of, users, close };
    return users;
  }

  function welcome(user: { access_token: string; profile: { name?: string; email?: string; sub: string } }): void {
    if (!joined) return;
    const { name, email, sub } = user.profile;
    store.setState({
      state: "signedIn",
      owner: joined.owner,
      session: joined.id,
      name: name ?? email ?? sub,
      workspaces: workspacesOf(user.access_token),
      failed: false,
      issuerStays: false,
      kept: false,
    });
  }

  /**
   * The session is over in this tab. First nothing more of it is taken in, then its client goes, then what is stored. A session that
   * ended by itself leaves what the server does not have, for the same person; signing out leaves nothing.
   */
  function end(how: "signedOut" | "elsewhere" | "expired"): Promise<void> {
    const session = joined;
    joined = null;
    made?.close();
    made = null;
    tokens.set(null);
    if (how === "signedOut") {
      person.set(null);
      if (session) tabs.tell("over", session.id);
    }
    store.setState({ state: "signedOut", ...ABSENT, failed: false, issuerStays: false });
    return how === "expired" ? storage.clear((_, kind) => !kind.cache).then(look) : tidy(how === "signedOut");
  }

  /** Keeps what is of the browser's person, or of nobody yet. */
  async function tidy(nobodyToo = false): Promise<void> {
    const stays = joined ?? person.get();
    await storage.clear(
      (owner) => (stays !== null && isSame(owner, stays.owner)) || (!nobodyToo && isSame(owner, NOBODY)),
    );
    await look();
  }

  /** Whether the sign-in page has something to tell of. */
  async function look(): Promise<void> {
    const last = person.get()?.owner;
    const kept = store.getState().state === "signedOut" && last !== undefined && (await storage.holds(last));
    store.setState({ kept });
  }

  function check(): void {
    if (isOver()) endElsewhere();
  }

  function endElsewhere(): void {
    const [config, mine] = [known.get(), tokens.get()];
    void end("elsewhere");
    // The other tab ends the issuer's session; this tab's own refresh token is known here only. Unheard, it ends with its time.
    if (config && mine) leave(config, mine.user, home()).catch(() => {});
  }

  const home = () => `${location.origin}/`;

  function watch(): void {
    storage.onChange(KINDS.person, () => (joined ? check() : void tidy()));
    tabs.listen("over", (id) => {
      if (joined && id === joined.id) endElsewhere();
    });
    tabs.listen("joined", (value) => {
      const { owner } = (value ?? {}) as Partial<Session>;
      if (joined && owner && !isSame(joined.owner, owner)) endElsewhere();
    });
    // A page that was frozen, or kept for a way back, has heard nothing of all that.
    for (const name of ["pageshow", "focus"]) globalThis.addEventListener?.(name, check);
    globalThis.document?.addEventListener("visibilitychange", check);
  }

  /** The address that ends the issuer's session. Where there is none to go to, the next sign-in asks who is there. */
  async function leaveIssuer(config: AuthConfig, user: string | null): Promise<string | null> {
    try {
      if (user === null) throw new Unreachable();
      const to = await leave(config, user, home());
      if (to === null) askAgain.set(true);
      return to;
    } catch {
      askAgain.set(true);
      store.setState({ issuerStays: true });
      return null;
    }
  }

  watch();
  return {
    /** The token of this tab's session, if it is in one. */
    current: async (config: AuthConfig): Promise<string | null> => {
      check();
      return joined ? ((await manager(config).getUser())?.access_token ?? null) : null;
    },

    /** Whether another try is worth it. Throws Unreachable when the issuer said nothing: then the session may go on. */
    renew: async (config: AuthConfig): Promise<boolean> => {
      const before = joined;
      const users = manager(config);
      // Only a session that was there can be renewed quietly, and only by its refresh token: the other way, a frame with the
      // provider's page, is closed by the site's policy. A stranger is asked first.
      const session = await users.getUser();
      const user = session?.refresh_token
        ? await users.signinSilent().catch((error: unknown) => {
            if (!isRefusal(error)) throw new Unreachable();
            return null;
          })
        : null;
      if (before !== null && joined !== before) return false; // ended meanwhile
      if (user) {
        welcome(user);
        return true;
      }
      void end("expired");
      return false;
    },

    /** Takes up the session there is, or the one a sign-in has just brought; returns the path to show. */
    start: async (config: AuthConfig, isBack: boolean): Promise<string | null> => {
      const users = manager(config);
      const path = isBack ? await comeBack(users) : null;
      const user = await users.getUser();
      if (user) welcome(user);
      else store.setState({ state: "signedOut" });
      void tidy();
      return path;
    },

    signIn: async (config: AuthConfig): Promise<void> => {
      await leaving;
      const again = askAgain.get() ? { prompt: "login" } : {};
      await manager(config).signinRedirect({ state: location.pathname, ...again });
    },

    /**
     * Ends the session here, in the other tabs, and at the issuer. `settle` resolves when nothing is on its way to the server any
     * more; it is waited for a moment, so that what was asked for last is done in this person's name.
     */
    signOut: async (config: AuthConfig, settle: () => Promise<unknown>): Promise<void> => {
      const before = joined;
      if (!before) return;
      await atMost(LEAVING_MS, settle());
      if (joined !== before) return;
      const mine = tokens.get();
      const cleared = end("signedOut");
      leaving = (async () => {
        await atMost(LEAVING_MS, cleared);
        const to = await leaveIssuer(config, mine?.user ?? null);
        if (to) location.assign(to);
      })();
      await leaving;
    },

    /** Removes what is kept for whoever was signed in last. */
    forget: async (): Promise<void> => {
      person.set(null);
      await storage.clear(() => false);
      await look();
    },
  };

  async function comeBack(users: UserManager): Promise<string> {
    const before = person.get();
    isJoining = true;
    try {
      const user = await users.signinCallback();
      askAgain.set(null);
      // Someone else's chat is not where this person wants to go.
      const isOwn = !before || before.id === joined?.id;
      return isOwn && typeof user?.state === "string" && /^\/(?!\/)/.test(user.state) ? user.state : "/new";
    } catch {
      store.setState({ failed: true });
      return "/new";
    } finally {
      isJoining = false;
    }
  }
}

async function atMost(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  await Promise.race([
    work.catch(() => {}),
    new Promise((resolve) => {
      timer = setTimeout(resolve, ms);
    }),
  ]);
  clearTimeout(timer);
}

function subOf(user: string): string {
  const { profile } = JSON.parse(user) as { profile: { sub: string } };
  return profile.sub;
}

/** The workspaces a token lists, the personal one (its `sub`) first. */
export function workspacesOf(token: string): string[] {
  try {
    const part = token.split(".")[1] ?? "";
    const claims = JSON.parse(decodeURIComponent(escape(atob(part.replace(/-/g, "+").replace(/_/g, "/"))))) as Record<
      string,
      unknown
    >;
    const listed = CLAIMS.map((name) => claims[name]).find(Array.isArray) ?? [];
    const all = [claims.sub, ...listed].filter((one): one is string => typeof one === "string" && one !== "");
    return [...new Set(all)];
  } catch {
    return []; // a token that is not ours to read: there is only the personal workspace
  }
}
