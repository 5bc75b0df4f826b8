// The page's side of the highlighter, over a worker that answers when the test says so, or never.

import { act, render } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { StreamedMarkdown } from "../src/core/markdown";
import { highlight } from "../src/ui/highlight";
import type { Answered, Asked } from "../src/ui/highlight.worker";
import { Highlighter, type WorkerLike } from "../src/ui/highlighter";
import { renderBlocks } from "../src/ui/markdown";

/** As the worker: takes one question after another, and hangs for good at some code. */
class TestWorker implements WorkerLike {
  readonly asked: Asked[] = [];
  ended = false;
  private hangs = false;
  private readonly listeners: Record<string, ((event: { data: Answered | "ready" }) => void)[]> = {};
  // biome-ignore lint/suspicious/noExplicitAny: two overloads
  addEventListener = (type: string, listener: any) => {
    this.listeners[type] = [...(this.listeners[type] ?? []), listener];
  };
  postMessage = (asked: Asked) => {
    this.asked.push(asked);
    if (asked.code !== undefined) this.work(asked);
  };
  terminate = () => {
    this.ended = true;
  };

  emit(type: "message" | "error", data: Answered | "ready" = "ready") {
    for (const listener of this.listeners[type] ?? []) listener({ data });
  }

  private work({ block, version, language, code = "" }: Asked) {
    this.hangs ||= code.includes("HANGS");
    if (this.hangs) return;
    const lines = highlight(language, code) ?? [];
    const last = !code.includes("IN PARTS");
    queueMicrotask(() => this.emit("message", { block, version, from: 0, lines, last }));
  }
}

let workers: TestWorker[];
const started = () => {
  workers.push(new TestWorker());
  return workers.at(-1) as TestWorker;
};
const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

beforeEach(() => {
  workers = [];
  vi.useFakeTimers();
});
afterEach(() => void vi.useRealTimers());

const python = (block: number, code: string): Asked => ({ block, version: 1, language: "python", code });

function listened(...blocks: number[]) {
  const highlighter = new Highlighter(started);
  const answered: number[] = [];
  for (const block of blocks) highlighter.listen(block, ({ block }) => answered.push(block));
  return { highlighter, answered };
}

it("replaces a worker that a block keeps busy, and answers about the others, before it and after it", async () => {
  const { highlighter, answered } = listened(1, 2, 3, 4);
  highlighter.ask(python(1, "a = 1"));
  highlighter.ask(python(2, "HANGS"));
  highlighter.ask(python(3, "c = 3"));
  workers[0]?.emit("message");
  await pass(0);
  expect(answered).toEqual([1]);
  await pass(3_000);
  expect(workers.map(({ ended }) => ended)).toEqual([true, false]);
  expect(answered).toEqual([1, 3]);
  workers[1]?.emit("message");
  highlighter.ask(python(4, "d = 4"));
  await pass(10_000);
  expect(answered).toEqual([1, 3, 4]);
  expect(workers).toHaveLength(2);
  expect(workers[1]?.asked.map(({ block }) => block)).toEqual([3, 4]);
});

it("gives up each of several blocks that hang", async () => {
  const { highlighter, answered } = listened(1, 2, 3);
  for (const block of [1, 2]) highlighter.ask(python(block, "HANGS"));
  highlighter.ask(python(3, "c = 3"));
  for (let at = 0; at < 3; at++) {
    workers.at(-1)?.emit("message");
    await pass(3_000);
  }
  expect(answered).toEqual([3]);
  expect(workers).toHaveLength(3);
});

it("asks again for a block that had a part of its lines from the worker that was ended", async () => {
  const { highlighter, answered } = listened(1, 2);
  highlighter.ask(python(1, "IN PARTS = 1"));
  highlighter.ask(python(2, "HANGS"));
  workers[0]?.emit("message");
  await pass(3_000);
  expect(answered).toEqual([1, 1]);
});

it("waits for a worker whose script is long in coming", async () => {
  const { highlighter } = listened(1);
  highlighter.ask(python(1, "HANGS"));
  await pass(60_000);
  expect(workers.map(({ ended }) => ended)).toEqual([false]);
});

it("tries again with the next block when the worker's script did not load", async () => {
  const { highlighter, answered } = listened(1, 2);
  highlighter.ask(python(1, "HANGS"));
  workers[0]?.emit("error");
  highlighter.forget(1);
  highlighter.ask(python(2, "b = 2"));
  expect(workers).toHaveLength(2);
  workers[1]?.emit("message");
  await pass(3_000);
  await pass(3_000);
  expect(answered).toEqual([2]);
});

it("does nothing once all is answered", async () => {
  const { highlighter } = listened(1);
  highlighter.ask(python(1, "a = 1"));
  workers[0]?.emit("message");
  await pass(0);
  expect(vi.getTimerCount()).toBe(0);
});

const CODE = "def f():\n    return 1\n";

const PIECES = [1, 4, 5, 8].flatMap((size) => [0, 50, 350].map((waitMs) => [size, waitMs] as const));

it.each(PIECES)("colours a block whose language comes in pieces of %i, one every %i ms", async (size, waitMs) => {
  vi.stubGlobal(
    "Worker",
    class extends TestWorker {
      constructor() {
        super();
        queueMicrotask(() => this.emit("message"));
      }
    },
  );
  vi.resetModules(); // a page of its own, with a highlighter of its own
  const { renderBlocks } = await import("../src/ui/markdown");
  const text = `\`\`\`python\n${CODE}\`\`\`\n`;
  const parser = new StreamedMarkdown();
  const show = (end: number, streaming: boolean) => (
    <div>{renderBlocks(parser.parse(text.slice(0, end), streaming), streaming)}</div>
  );
  const { container, rerender } = render(show(size, true));
  for (let end = size; end < text.length; end += size) {
    rerender(show(end, true));
    await pass(waitMs);
  }
  rerender(show(text.length, false));
  await pass(1_000);
  expect(container.querySelector(".hljs-keyword")?.textContent).toBe("def");
  expect(container.querySelector("figcaption")?.textContent).toBe("python");
  vi.unstubAllGlobals();
});

it("shows no part of a language's name", () => {
  const parser = new StreamedMarkdown();
  const label = (text: string) =>
    render(<div>{renderBlocks(parser.parse(text, true), true)}</div>).container.querySelector("figcaption")
      ?.textContent;
  expect(label("```pyth")).toBe("");
  expect(label("```python\n")).toBe("python");
});

it.each([
  ["ts {1,3}", "ts"],
  ["js:app.js", "js"],
  ["python,linenos", "python"],
  ["ts{2}", "ts"],
  ["c++", "c++"],
  ["c#", "c#"],
  ["", ""],
])("takes the language alone from the line %j", (line, language) => {
  const blocks = renderBlocks(new StreamedMarkdown().parse(`\`\`\`${line}\nx\n\`\`\``, false), false);
  expect(render(<div>{blocks}</div>).container.querySelector("figcaption span")?.textContent).toBe(language);
});
