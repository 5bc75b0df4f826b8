// Who uses the client. Locally nobody signs in, and nothing of signing in is loaded; a 401 is what changes that.

import { createStore } from "zustand/vanilla";
import type { Tokens } from "./api";
import { KINDS, NOBODY, type Owner } from "./kinds";
import { Unreachable } from "./problems";
import type { Sessions } from "./sessions";
import { CALLBACK, type Storage } from "./storage";
import type { AuthConfig } from "./types";

export interface AuthState {
  state: "open" | "signedOut" | "signedIn";
  owner: Owner;
  /** The session's id; empty where nobody is signed in. */
  session: string;
  name: string;
  workspaces: string[];
  /** The last attempt to sign in failed. */
  failed: boolean;
  /** The last sign-out was one of this page only: the issuer did not answer. */
  issuerStays: boolean;
  /** Something that was not sent or saved is kept for whoever was signed in last. */
  kept: boolean;
}

/** Nobody is signed in. */
export const ABSENT = { owner: NOBODY, session: "", name: "", workspaces: [] };

export type Auth = ReturnType<typeof createAuth>;

export function createAuth(ask: () => Promise<{ auth: AuthConfig | null }>, storage: Storage) {
  const store = createStore<AuthState>()(() => ({
    state: "open",
    ...ABSENT,
    failed: false,
    issuerStays: false,
    kept: false,
  }));
  const known = storage.shared.slot(KINDS.auth);
  let loading: Promise<Sessions> | null = null;
  let renewing: Promise<boolean> | null = null;

  /** What did not load is asked for again. */
  function sessions(): Promise<Sessions> {
    loading ??= import("./sessions").then(
      ({ createSessions }) => createSessions(store, storage),
      () => {
        loading = null;
        throw new Unreachable();
      },
    );
    return loading;
  }

  async function askServer(): Promise<AuthConfig | null> {
    const { auth } = await ask();
    known.set(auth);
    return auth;
  }

  const tokens: Tokens = {
    current: async () => {
      const config = known.get();
      return config && store.getState().state === "signedIn" ? (await sessions()).current(config) : null;
    },
    renew: () => {
      renewing ??= askServer()
        .then(async (config) => config !== null && (await sessions()).renew(config))
        .finally(() => {
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
      const isBack = location.pathname === CALLBACK;
      const config = known.get() ?? (isBack ? await askServer().catch(() => null) : null);
      if (!config) return isBack ? "/new" : null;
      try {
        return await (await sessions()).start(config, isBack);
      } catch {
        store.setState({ state: "signedOut", failed: true });
        return null;
      }
    },

    /** By what the server says now: what is remembered may be of a deployment that is gone, and serves where nobody answers. */
    signIn: async (): Promise<void> => {
      try {
        const config = await askServer().catch((error: unknown) => {
          const before = known.get();
          if (!before) throw error;
          return before;
        });
        if (config) await (await sessions()).signIn(config);
        else store.setState({ state: "open", failed: false });
      } catch {
        store.setState({ failed: true });
      }
    },

    /** Ends the session here, in the other tabs, and at the issuer; `settle` is waited for a moment. */
    signOut: async (settle: () => Promise<unknown>): Promise<void> => {
      const config = known.get();
      if (config) await (await sessions()).signOut(config, settle);
    },

    forget: async (): Promise<void> => (await sessions()).forget(),
  };
}
