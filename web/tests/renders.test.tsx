// One token renders one component: the answer's text. React itself is asked which components worked.

import { act, render } from "@testing-library/react";
import { beforeEach, expect, it, vi } from "vitest";
import { createClient } from "../src/core/client";
import { ClientProvider } from "../src/ui/context";
import { Layout } from "../src/ui/Layout";
import { conversation, message } from "./made";
import { MemoryRouter } from "./router";

interface Fiber {
  type: unknown;
  flags: number;
  alternate: Fiber | null;
  child: Fiber | null;
  sibling: Fiber | null;
}
const PERFORMED_WORK = 1; // ReactFiberFlags: set on a component whose function was called for this commit
const worked: string[] = [];

function note(fiber: Fiber | null): void {
  for (let one = fiber; one; one = one.sibling) {
    const type = one.type as { name?: string; type?: { name?: string } } | null;
    const name = typeof type === "function" ? (type as { name: string }).name : type?.type?.name;
    if (name && one.flags & PERFORMED_WORK && one.alternate !== null) worked.push(name);
    // A subtree that was bailed out of is the same object as before, and nothing in it worked.
    if (one.alternate === null || one.child !== one.alternate.child) note(one.child);
  }
}

beforeEach(() => {
  vi.stubGlobal("matchMedia", () => ({ matches: false }));
});

/** The page with an answer under way below so many messages; returns what a token does. */
function answering(above: number, id: string): () => void {
  const client = createClient();
  const before = Array.from({ length: above }, (_, index) =>
    message(`${id}${index}`, index ? `${id}${index - 1}` : null, { role: index % 2 ? "assistant" : "user" }),
  );
  const answer = message(`${id}a`, before.at(-1)?.id ?? null, {
    role: "assistant",
    content: "It",
    status: "streaming",
  });
  client.chats.getState().setConversation(id, conversation(id, [...before, answer]));
  client.chats.getState().startStreaming(id, answer.id);
  render(
    <ClientProvider value={client}>
      <MemoryRouter initialEntries={[`/chat/${id}`]}>
        <Layout />
      </MemoryRouter>
    </ClientProvider>,
  );
  return () => act(() => client.chats.getState().appendStream(id, answer.id, " word"));
}

it("costs a word of an answer no more below a thousand messages than in an empty chat", () => {
  const empty = answering(2, "e");
  const long = answering(1_000, "l");
  const least = { empty: Number.POSITIVE_INFINITY, long: Number.POSITIVE_INFINITY };
  const measure = (name: keyof typeof least, token: () => void) => {
    const began = performance.now();
    token();
    least[name] = Math.min(least[name], performance.now() - began);
  };
  // In turns, and the least of many: what else the machine does counts for neither.
  for (let round = 0; round < 300; round++) {
    measure("empty", empty);
    measure("long", long);
  }
  expect(least.long / least.empty).toBeLessThanOrEqual(1.3);
}, 60_000);

it("renders the text of the answer and nothing else", () => {
  const hook = (globalThis as { __REACT_DEVTOOLS_GLOBAL_HOOK__?: { onCommitFiberRoot: unknown } })
    .__REACT_DEVTOOLS_GLOBAL_HOOK__;
  if (!hook) throw new Error("the hook is set before React is loaded: tests/hook.ts");
  const client = createClient();
  const before = Array.from({ length: 20 }, (_, index) =>
    message(`m${index}`, index ? `m${index - 1}` : null, { role: index % 2 ? "assistant" : "user" }),
  );
  const answer = message("a", "m19", { role: "assistant", content: "It", status: "streaming" });
  client.chats.getState().setConversation("c", conversation("c", [...before, answer]));
  client.chats.getState().startStreaming("c", "a");
  render(
    <ClientProvider value={client}>
      <MemoryRouter initialEntries={["/chat/c"]}>
        <Layout />
      </MemoryRouter>
    </ClientProvider>,
  );
  hook.onCommitFiberRoot = (_: number, root: { current: Fiber }) => note(root.current);
  worked.length = 0;
  act(() => client.chats.getState().appendStream("c", "a", " begins"));
  expect(worked).toEqual(["AnswerText"]);
});
