// From messages on screen to the body of a POST.

import { cut, fits } from "./cutting";
import { depthOf, orderKey, pathTo } from "./tree";
import type { ChatBody, Conversation, Message } from "./types";

// A branch has no end, a request has (500 messages, 4 MiB): of a long one the newest part goes out.
const MOST_MESSAGES = 200;
const MOST_BYTES = 2 * 1024 * 1024;

/**
 * The turn that answers `questionId`. `storedId` is the last message of the branch that the server has; the ones after it
 * are stored by this turn. Made from the same messages it is the same, so a repeat is recognised.
 */
export function bodyOf(chat: Conversation, turnId: string, questionId: string, storedId: string | null): ChatBody {
  const { workspaceId, budId, model } = chat.meta;
  return {
    turnId,
    ...(workspaceId ? { workspaceId } : {}),
    budId,
    ...(model ? { model } : {}),
    messages: newestPart(pathTo(chat.messages, questionId), storedId),
    parentId: storedId,
  };
}

/** The branch, or its newest part: every new message, and as many of the stored ones before them as fit. */
function newestPart(path: readonly Message[], storedId: string | null): ChatBody["messages"] {
  const stored = path.findIndex((message) => message.id === storedId);
  let start = path.length;
  let room = MOST_BYTES;
  while (start > 0 && (start > stored || (path.length - start < MOST_MESSAGES && room > 0))) {
    start--;
    room -= sizeOf(path[start]?.content ?? "");
  }
  const first = depthOf(path);
  const isWhole = start === 0 && (first === 0 || first === null);
  return path.slice(start).map(({ id, role, content }, index) => {
    const at = start + index;
    return {
      id,
      role,
      content,
      ...(isWhole || first === null || at > stored ? {} : { orderKey: orderKey(first + at) }),
    };
  });
}

/** The bytes a text takes in a body, about. */
function sizeOf(text: string): number {
  return new TextEncoder().encode(JSON.stringify(text)).length;
}

const TITLE_CHARS = 80;
// biome-ignore lint/suspicious/noControlCharactersInRegex: some of them end a line
const LINE_END = /\r\n|[\n\v\f\r\x1c-\x1e\x85\u2028\u2029]/; // as the server has it

/** The title the server will give: the first line of the question, cut at a word. */
export function titleOf(text: string): string {
  const line = (text.trim().split(LINE_END)[0] ?? "").replace(/\s+/g, " ").trim();
  if (fits(line, TITLE_CHARS)) return line;
  const start = cut(line, TITLE_CHARS - 1);
  const space = start.lastIndexOf(" ");
  return `${(space >= TITLE_CHARS / 2 ? start.slice(0, space) : start).trimEnd()}…`;
}
