// Titles and names of files: the same here as on the server, which reads the same cases.

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { titleOf } from "../src/core/bodies";
import { fileNameOf } from "../src/core/filename";

type Written = string | [text: string, times: number, end?: string];
interface Case {
  why: string;
  text?: string;
  repeat?: Written;
  title: Written;
  file: Written | null;
}

const CASES = JSON.parse(
  readFileSync(`${import.meta.dirname}/../../tests/support/titles.json`, "utf8"),
) as readonly Case[];

/** A text, or [text, how often, end]; an end that begins with a backspace takes the last character away. */
function text(written: Written | undefined): string {
  if (written === undefined || typeof written === "string") return written ?? "";
  const [one, times, end = ""] = written;
  const all = one.repeat(times);
  return end.startsWith("\b") ? all.slice(0, -1) + end.slice(1) : all + end;
}

it.each(CASES)("makes a title: $why", ({ text: whole, repeat, title }) =>
  expect(titleOf(whole ?? text(repeat))).toBe(text(title)),
);

it.each(CASES.filter(({ file }) => file !== null))("names a file: $why", ({ text: whole, repeat, file }) =>
  expect(fileNameOf((whole ?? text(repeat)).trim().split(/[\r\n\u2028]/)[0] ?? "", "chat")).toBe(text(file ?? "")),
);

it.each(["", " ", "?!", "...", "\ud800", "\u202e"])(
  "names a file by another word where the title has none: %j",
  (title) => expect(fileNameOf(title, "chat")).toBe("chat"),
);
