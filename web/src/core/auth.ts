// Who uses the client. Locally nobody signs in, and none of the sign-in library is loaded; a 401 is what changes that.

import type { UserManager } from "oidc-client-ts";
import { createStore } from "zustand/vanilla";
import type { Tokens } from "./api";
import { remembered, saveNewChat } from "./session";
import type { AuthConfig } from "./types";

export interface AuthState {
  state: "open" | "signedOut" | "signedIn";
  /** The user's id at the issuer; empty where nobody is signed in. */
  user: string;
  name: string;
  workspaces: string[];
  /** The last attempt to sign in failed. */
  failed: boolean;
}

export const CALLBACK = "/signed-in";
const CLAIMS = ["workspaces", "cognito:groups"]; // the claims that may list them: ours, and Cognito's

export type Auth = ReturnType<typeof createAuth>;

export function createAuth(ask: () => Promise<{ auth: AuthConfig | null }>) {
  const store = createStore<AuthState>()(() => ({ state: "open", user: "", name: "", workspaces: [], failed: false }));
  const known = remembered<AuthConfig>("auth");
  let made: { of: string; users: Promise<UserManager> } | null = null;
  let renewing: Promise<boolean> | null = null;

  /** One for each configuration; a library that did not load is asked for again. */
  function manager(config: AuthConfig): Promise<UserManager> {
    const of = JSON.stringify(config);
    if (made?.of !== of) {
      const users = import("./oidc").then(({ createManager }) => createManager(config, location.origin + CALLBACK));
      const making = { of, users };
      made = making;
      users.catch(() => {
        if (made === making) made = null;
      });
    }
    return made.users;
  }

  function welcome(user: { access_token: string; profile: { name?: string; email?: string; sub: string } }): void {
    const { name, email, sub } = user.profile;
    store.setState({
      state: "signedIn",
      user: sub,
      name: name ?? email ?? sub,
      workspaces: workspacesOf(user.access_token),
      failed: false,
    });
  }

  async function renew(): Promise<boolean> {
    const { auth } = await ask();
    known.set(auth);
    if (!auth) return false;
    const users = await manager(auth);
    // Only a session that was there can be renewed quietly, and only by its refresh token: the other way, a frame with the
    // provider's page, is closed by the site's policy. A stranger is asked first.
    const session = await users.getUser();
    const user = session?.refresh_token ? await users.signinSilent().catch(() => null) : null;
    if (user) {
      welcome(user);
      return true;
    }
    await users.removeUser();
    store.setState({ state: "signedOut" });
    return false;
  }

  const tokens: Tokens = {
    current: async () => {
      const config = known.get();
      if (!config) return null;
      return (await (await manager(config)).getUser())?.access_token ?? null;
    },
    renew: () => {
      renewing ??= renew().finally(() => {
        renewing = null;
      });
      return renewing;
    },
  };

  return {
    store,
    tokens,

    /** Takes up the session there is, or the one a sign-in has just brought; returns the path to show. */
    start: async (): Promise<string | null> => {
      const config = known.get();
      if (!config) return location.pathname === CALLBACK ? "/new" : null;
      const users = await manager(config).catch(() => null);
      if (!users) {
        store.setState({ state: "signedOut", failed: true });
        return null;
      }
      let path: string | null = null;
      if (location.pathname === CALLBACK) {
        path = "/new";
        try {
          const user = await users.signinCallback();
          if (typeof user?.state === "string" && user.state.startsWith("/")) path = user.state;
        } catch {
          store.setState({ failed: true });
        }
      }
      const user = await users.getUser();
      if (user) welcome(user);
      else store.setState({ state: "signedOut" });
      return path;
    },

    /** By what the server says now: what is remembered may be of a deployment that is gone, and serves where nobody answers. */
    signIn: async () => {
      try {
        const { auth: config } = await ask().catch((error: unknown) => {
          const auth = known.get();
          if (!auth) throw error;
          return { auth };
        });
        known.set(config);
        if (config) await (await manager(config)).signinRedirect({ state: location.pathname });
        else store.setState({ state: "open", failed: false });
      } catch {
        store.setState({ failed: true });
      }
    },

    signOut: async () => {
      const config = known.get();
      if (!config) return;
      const users = await manager(config);
      await users.removeUser();
      saveNewChat(null); // the outbox has it, for whom it belongs to
      store.setState({ state: "signedOut", user: "", name: "", workspaces: [] });
    },
  };
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
