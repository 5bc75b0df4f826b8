// The page: who is signed in, and the client that is theirs. With another person, or none, it is another client.

import { createStore } from "zustand/vanilla";
import { createAuth } from "./auth";
import { askConfig, type Client, createClient } from "./client";
import { loaded } from "./markdown";
import { createStorage } from "./storage";

export interface Visit {
  client: Client;
  /** Counts the clients there were: what is on screen for one is not for the next. */
  number: number;
}

export type Page = ReturnType<typeof createPage>;

export function createPage() {
  const storage = createStorage();
  const auth = createAuth(askConfig, storage);
  const store = createStore<Visit>()(() => ({ client: createClient(storage, auth), number: 0 }));

  function begin(): void {
    const { client: before, number } = store.getState();
    before.end();
    loaded.getState().maths?.forget();
    const client = createClient(storage, auth);
    store.setState({ client, number: number + 1 });
    if (auth.store.getState().state !== "signedOut") client.start();
  }

  return {
    auth,
    store,

    /** Begins the visit; returns the path to show when it is another one. */
    start: async (): Promise<string | null> => {
      const path = await auth.start();
      begin();
      auth.store.subscribe((now, before) => {
        if (now.state !== before.state || now.session !== before.session) begin();
      });
      return path;
    },
  };
}
