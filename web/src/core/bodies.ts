// From messages on screen to the body of a POST.

import { cut, fits } from "./cutting";
import { pathTo } from "./tree";
import type { ChatBody, Conversation } from "./types";

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
    messages: pathTo(chat.messages, questionId).map(({ id, role, content }) => ({ id, role, content })),
    parentId: storedId,
  };
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
