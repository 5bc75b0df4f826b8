// The messages of a conversation are a tree: edits and regenerations are siblings. One branch of it is shown.

import type { Message } from "./types";

type Chosen = Readonly<Record<string, string>> | undefined;

/** The key of `chosen` for the messages that have no parent. */
export const ROOT = "";

const byParent = new WeakMap<readonly Message[], Map<string, Message[]>>();
const byId = new WeakMap<readonly Message[], Map<string, Message>>();

/** The message of that id. The index is made once per array, so every message of a long chat can ask on every token. */
export function messageOf(messages: readonly Message[], id: string): Message | undefined {
  let index = byId.get(messages);
  if (!index) {
    index = new Map(messages.map((message) => [message.id, message]));
    byId.set(messages, index);
  }
  return index.get(id);
}

function children(messages: readonly Message[]): Map<string, Message[]> {
  let index = byParent.get(messages);
  if (!index) {
    index = new Map();
    for (const message of messages) {
      const parent = message.parentId ?? ROOT;
      const family = index.get(parent);
      if (family) family.push(message);
      else index.set(parent, [message]);
    }
    for (const family of index.values()) family.sort(byAge);
    byParent.set(messages, index);
  }
  return index;
}

function byAge(one: Message, other: Message): number {
  return one.createdAt.localeCompare(other.createdAt) || one.id.localeCompare(other.id);
}

/** The branch that is shown, root to leaf: at each fork the chosen reply, else the latest. */
export function visibleBranch(messages: readonly Message[], chosen: Chosen): Message[] {
  const families = children(messages);
  const branch: Message[] = [];
  let parent = ROOT;
  for (let family = families.get(parent); family; family = families.get(parent)) {
    const next = family.find((message) => message.id === chosen?.[parent]) ?? family.at(-1);
    if (!next || branch.length > messages.length) break;
    branch.push(next);
    parent = next.id;
  }
  return branch;
}

/** The message and the others that could stand in its place, oldest first. */
export function siblings(messages: readonly Message[], id: string): Message[] {
  const message = messageOf(messages, id);
  return (message && children(messages).get(message.parentId ?? ROOT)) ?? [];
}

/** The message itself, or the nearest above it, that the server has; null when it has none of the branch. */
export function lastSaved(messages: readonly Message[], id: string | null): string | null {
  return pathTo(messages, id).findLast((message) => !message.unsaved)?.id ?? null;
}

/** The end of the branch that the server is not known to have, down to the message. */
export function unsavedEnd(messages: readonly Message[], id: string): Message[] {
  const path = pathTo(messages, id);
  return path.slice(path.findLastIndex((message) => !message.unsaved) + 1);
}

/** The branch from its root down to the message. */
export function pathTo(messages: readonly Message[], id: string | null): Message[] {
  const path: Message[] = [];
  for (let next = id; next !== null; ) {
    const message = messageOf(messages, next);
    if (!message || path.length > messages.length) break;
    path.unshift(message);
    next = message.parentId;
  }
  return path;
}
