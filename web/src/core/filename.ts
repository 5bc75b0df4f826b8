// The name of a file to save, made from a title in any script: safe on every system, and readable.

import { cut } from "./cutting";

// As on the server (functions/conversations/filename.py): all of ASCII but letters and digits, white space, control characters, and
// those that turn the direction of writing, by which a name can pretend to have another ending.
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  /(?:[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\xa0\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\s]|\p{Surrogate})+/gu;
const CHARS = 60; // 4 bytes each at most: with the ending below the 255 bytes that file systems take

/** The name without its ending; `otherwise` where the title has nothing to name a file by. */
export function fileNameOf(title: string, otherwise: string): string {
  const name = title
    .normalize("NFC")
    .replace(UNSAFE, "-")
    .replace(/^-+|-+$/g, "");
  return cut(name, CHARS).replace(/-+$/, "") || otherwise;
}
