// What changed in a chat, told only to the parts of the page that show it. A store tells every subscriber of every change; with a
// thousand messages above, that would be thousands of questions for each word of an answer.

import { useCallback, useRef, useSyncExternalStore } from "react";
import type { Chats } from "../core/store";
import { depthOf, versionsOf, visibleBranch } from "../core/tree";
import type { Home } from "../core/turns";
import type { Conversation, Message } from "../core/types";

type Look = () => void;

/** `message` tells of one message; `order` of messages that come, go, or are asked for; `chat` of what is true of all of it. */
interface Feed {
  listen: (what: "order" | "chat" | { message: string }, look: Look) => () => void;
  messageOf: (id: string) => Message | undefined;
}

const feeds = new WeakMap<Chats, Map<string, Feed>>();

function feedOf({ chats, id }: Home): Feed {
  const known = feeds.get(chats) ?? new Map<string, Feed>();
  feeds.set(chats, known);
  const feed = known.get(id) ?? createFeed(chats, id, () => known.delete(id));
  known.set(id, feed);
  return feed;
}

function createFeed(chats: Chats, id: string, onUnused: () => void): Feed {
  const byMessage = new Map<string, Set<Look>>();
  const ofOrder = new Set<Look>();
  const ofChat = new Set<Look>();
  let count = 0;
  let leave: Look | null = null;
  let last: Conversation | undefined;
  let places = new Map<string, number>();

  const now = () => chats.getState().conversations[id];

  /** By where it was last: places change only with the order. */
  function messageOf(messageId: string): Message | undefined {
    const messages = now()?.messages ?? [];
    const found = messages[places.get(messageId) ?? -1];
    if (found?.id === messageId) return found;
    if (places.size !== messages.length || !places.has(messageId))
      places = new Map(messages.map((message, index) => [message.id, index]));
    const index = places.get(messageId);
    const message = index === undefined ? undefined : messages[index];
    return message?.id === messageId ? message : messages.find((one) => one.id === messageId);
  }

  const tell = (looks: Iterable<Look> | undefined) => {
    for (const look of [...(looks ?? [])]) look();
  };

  function look(): void {
    const [before, after] = [last, now()];
    if (before === after) return;
    last = after;
    const isReordered = changedMessages(before?.messages ?? [], after?.messages ?? [], (messageId) =>
      tell(byMessage.get(messageId)),
    );
    const isOther = before?.meta !== after?.meta || before?.older !== after?.older;
    if (isReordered || isOther) tell(ofOrder);
    if (isOther || before?.isStreaming !== after?.isStreaming) tell(ofChat);
  }

  return {
    messageOf,
    listen: (what, listener) => {
      const looks = what === "order" ? ofOrder : what === "chat" ? ofChat : ofMessage(what.message);
      if (count++ === 0) {
        last = now();
        leave = chats.subscribe(look);
      }
      looks.add(listener);
      return () => {
        looks.delete(listener);
        if (typeof what === "object" && !looks.size) byMessage.delete(what.message);
        if (--count > 0) return;
        leave?.();
        onUnused();
      };
    },
  };

  function ofMessage(messageId: string): Set<Look> {
    const looks = byMessage.get(messageId) ?? new Set<Look>();
    byMessage.set(messageId, looks);
    return looks;
  }
}

/** Tells of each message that is another one than before; returns whether messages came, went, or hang together otherwise. */
function changedMessages(before: readonly Message[], after: readonly Message[], tell: (id: string) => void): boolean {
  if (before === after) return false;
  let isReordered = before.length !== after.length;
  const changed: string[] = [];
  for (let at = 0; at < Math.max(before.length, after.length); at++) {
    const [one, other] = [before[at], after[at]];
    if (one === other) continue;
    if (one?.id !== other?.id || one?.parentId !== other?.parentId || one?.siblings !== other?.siblings)
      isReordered = true;
    if (one) changed.push(one.id);
    if (other && other.id !== one?.id) changed.push(other.id);
  }
  for (const id of changed) tell(id);
  return isReordered;
}

/** A part of one message. `select` gives a value that is the same as long as nothing changed. */
export function useMessage<T>(home: Home, id: string, select: (message: Message | undefined) => T): T {
  const { chats, id: chat } = home;
  const subscribe = useCallback(
    (look: Look) => feedOf({ chats, id: chat }).listen({ message: id }, look),
    [chats, chat, id],
  );
  return useSyncExternalStore(subscribe, () => select(feedOf(home).messageOf(id)));
}

/** Whether an answer of the chat is under way. */
export function useBusy(home: Home): boolean {
  const { chats, id } = home;
  const subscribe = useCallback((look: Look) => feedOf({ chats, id }).listen("chat", look), [chats, id]);
  return useSyncExternalStore(subscribe, () => chats.getState().conversations[id]?.isStreaming ?? false);
}

function useOrder(home: Home, read: (chat: Conversation | undefined) => string[]): string[] {
  const { chats, id } = home;
  const last = useRef<string[]>([]);
  const subscribe = useCallback((look: Look) => feedOf({ chats, id }).listen("order", look), [chats, id]);
  return useSyncExternalStore(subscribe, () => {
    const next = read(chats.getState().conversations[id]);
    const isSame = next.length === last.current.length && next.every((one, at) => one === last.current[at]);
    if (!isSame) last.current = next;
    return last.current;
  });
}

/** The ids of the branch on screen: the same array until a message comes or goes. */
export function useBranch(home: Home): string[] {
  return useOrder(home, (chat) => (chat ? visibleBranch(chat).map((message) => message.id) : []));
}

/** The depth in the tree of the first message on screen. */
export function useTop(home: Home): number {
  const { chats, id } = home;
  const subscribe = useCallback((look: Look) => feedOf({ chats, id }).listen("order", look), [chats, id]);
  return useSyncExternalStore(subscribe, () => {
    const chat = chats.getState().conversations[id];
    return (chat && depthOf(visibleBranch(chat))) ?? 0;
  });
}

/** The ids of the versions of a message, oldest first. */
export function useVersions(home: Home, id: string): string[] {
  return useOrder(home, (chat) => versionsOf(chat?.messages ?? [], id));
}
