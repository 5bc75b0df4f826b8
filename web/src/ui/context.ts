// How components reach the stores: each selects the least it needs.

import { createContext, useContext } from "react";
import { useStore } from "zustand";
import type { Client } from "../core/client";
import type { Home } from "../core/turns";
import type { Conversation } from "../core/types";

const Context = createContext<Client | null>(null);
export const ClientProvider = Context.Provider;

export function useClient(): Client {
  const client = useContext(Context);
  if (!client) throw new Error("no client around this component");
  return client;
}

/** Says a sentence at the foot of the page; a part that is shown without the page has nobody to say it to. */
export function useSay(): (text: string) => void {
  const client = useContext(Context);
  return (text) => client?.say(text);
}

export function useChat<T>(home: Home, select: (chat: Conversation | undefined) => T): T {
  return useStore(home.chats, (state) => select(state.conversations[home.id]));
}
