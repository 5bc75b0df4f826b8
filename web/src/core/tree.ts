// The messages of a conversation are a tree: edits and regenerations are siblings. One branch of it is shown.

import type { Conversation, ConversationMeta, Message } from "./types";

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

/** What of a chat decides which branch is shown. */
type Shown = Pick<Conversation, "messages" | "older"> & { meta: { chosen?: Chosen } };

/** The branch that is shown, to its leaf from the root, or from as far up as it is here: at each fork the chosen reply, else the latest. */
export function visibleBranch({ messages, older, meta: { chosen } }: Shown): Message[] {
  const families = children(messages);
  const branch: Message[] = [];
  let parent = older?.above ?? ROOT;
  for (let family = families.get(parent); family; family = families.get(parent)) {
    const next = family.find((message) => message.id === chosen?.[parent]) ?? family.at(-1);
    if (!next || branch.length > messages.length) break;
    branch.push(next);
    parent = next.id;
  }
  return branch;
}

/** The ids of the message and of the others that could stand in its place, oldest first: also of those that are not here. */
export function versionsOf(messages: readonly Message[], id: string): string[] {
  const message = messageOf(messages, id);
  const here = (message && children(messages).get(message.parentId ?? ROOT)) ?? [];
  const named = here.reduce<readonly string[]>(
    (most, { siblings = [] }) => (siblings.length > most.length ? siblings : most),
    [],
  );
  return [...named, ...here.filter((one) => !named.includes(one.id)).map((one) => one.id)];
}

/** The messages with what the server has of them: new ones added, changed ones replaced; the same array when nothing is new. */
export function merged(before: Message[], stored: readonly Message[]): Message[] {
  const now = new Map(stored.map((message) => [message.id, message]));
  let isChanged = false;
  const kept = before.map((message) => {
    const said = now.get(message.id);
    now.delete(message.id);
    if (!said || message.unsaved || message.status === "streaming" || isAlike(message, said)) return message;
    isChanged = true;
    return { ...said, ...(said.siblings || !message.siblings ? {} : { siblings: message.siblings }) };
  });
  return isChanged || now.size ? [...kept, ...now.values()] : before;
}

function isAlike(one: Message, other: Message): boolean {
  return (
    one.status === other.status &&
    one.content === other.content &&
    one.orderKey === other.orderKey &&
    (other.siblings?.length ?? 0) <= (one.siblings?.length ?? 0)
  );
}

/** The chat's `meta` under which the branch on screen stays there though these messages come: no version made elsewhere takes over. */
export function pinned(chat: Conversation, added: readonly Message[]): ConversationMeta {
  const parents = new Set(added.map(({ parentId }) => parentId ?? ROOT));
  const chosen: Record<string, string> = {};
  for (const { id, parentId } of visibleBranch(chat)) if (parents.has(parentId ?? ROOT)) chosen[parentId ?? ROOT] = id;
  return { ...chat.meta, chosen: { ...chat.meta.chosen, ...chosen } };
}

/** The depth in the tree of a path's first message; null when nothing says so. */
export function depthOf(path: readonly Message[]): number | null {
  const index = path.findIndex((message) => message.orderKey);
  const key = path[index]?.orderKey;
  if (key) return Number(key) - index;
  return path[0]?.parentId === null ? 0 : null;
}

export const orderKey = (depth: number) => String(depth).padStart(6, "0");

/** The message as the API's `through` names it: its depth and its id. */
export function placeOf(messages: readonly Message[], id: string | null): string | null {
  const path = pathTo(messages, id);
  const depth = depthOf(path);
  return depth === null || !path.length ? null : `${orderKey(depth + path.length - 1)}:${id}`;
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
    path.push(message);
    next = message.parentId;
  }
  return path.reverse();
}
