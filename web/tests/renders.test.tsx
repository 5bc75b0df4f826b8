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
