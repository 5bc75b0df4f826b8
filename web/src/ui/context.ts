// How components reach the stores: each selects the least it needs.

import { createContext, useContext } from "react";
import { useStore } from "zustand";
import { useShallow } from "zustand/react/shallow";
import type { Client } from "../core/client";
import { messageOf, siblings, visibleBranch } from "../core/tree";
import type { Home } from "../core/turns";
import type { Conversation, Message } from "../core/types";

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

/** The ids of the branch on screen: the same array until a message comes or goes. */
export function useBranch(home: Home): string[] {
  return useStore(
    home.chats,
    useShallow((state) => {
      const chat = state.conversations[home.id];
      return chat ? visibleBranch(chat.messages, chat.meta.chosen).map((message) => message.id) : [];
    }),
  );
}

export function useMessage<T>(home: Home, id: string, select: (message: Message | undefined) => T): T {
  return useStore(home.chats, (state) => select(messageOf(state.conversations[home.id]?.messages ?? [], id)));
}

/** The ids of the versions of a message, oldest first. */
export function useVersions(home: Home, id: string): string[] {
  return useStore(
    home.chats,
    useShallow((state) => siblings(state.conversations[home.id]?.messages ?? [], id).map((message) => message.id)),
  );
}
