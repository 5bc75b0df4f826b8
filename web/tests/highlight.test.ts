// What the worker makes of code: its text in order, line by line, whatever the colours.

import { expect, it } from "vitest";
import { highlight } from "../src/ui/highlight";

const CODE = 'def f(x):\n    """Two\n    lines."""\n    return f"{x} is"  # so\n';

it("keeps every character, with a line's break at its end", () => {
  const lines = highlight("python", CODE) ?? [];
  const texts = lines.map((line) => line.map(([, text]) => text).join(""));
  expect(texts.join("")).toBe(CODE);
  expect(texts.slice(0, -1).every((text) => text.indexOf("\n") === text.length - 1)).toBe(true);
  expect(lines[0]?.[0]).toEqual(["hljs-keyword", "def"]);
});

it("colours what goes on over lines on each of them, and what is inside something else as both", () => {
  const lines = highlight("python", CODE) ?? [];
  expect(lines[2]?.[0]?.[0]).toContain("hljs-string");
  expect(lines[3]?.map(([classes]) => classes)).toContain("hljs-string hljs-subst");
});

it("leaves a language it does not know to be plain", () => {
  expect(highlight("klingon", CODE)).toBeNull();
});
