// The colours of a block of code, which come from a worker after its text: some lines at a time, and what came since is plain.

import { useEffect, useRef, useState } from "react";
import type { Piece } from "./highlight";
import type { Answered } from "./highlight.worker";
import { Highlighter } from "./highlighter";

/** The first lines of a code, coloured; together they are `text`. */
export interface Coloured {
  text: string;
  lines: readonly Piece[][];
}

const AFTER_MS = 300; // a block that grows is coloured a few times a second: each time is a change of the page more
const LONGEST = 40_000;
const NOTHING: Coloured = { text: "", lines: [] };

let blocks = 0;
// Where there are no workers, or it does not load, code stays plain.
const highlighter = new Highlighter(
  () => new Worker(new URL("./highlight.worker.ts", import.meta.url), { type: "module" }),
);

export function useColours(code: string, language: string, growing: boolean): Coloured {
  const [coloured, setColoured] = useState(NOTHING);
  const block = useRef({
    id: 0,
    version: 0,
    waiting: false,
    stale: false,
    timer: 0,
    code,
    language,
    lines: [] as Piece[][],
  }).current;
  block.code = code;
  block.language = language; // it may be known in part when the first words of the code are asked for
  useEffect(() => {
    if (!language || code.length > LONGEST || typeof Worker === "undefined") return;
    if (block.waiting) {
      block.stale = true; // it is asked again when the answer is here
      return;
    }
    const send = () => {
      block.stale = false;
      if (!block.id) {
        block.id = ++blocks;
        highlighter.listen(block.id, hear);
      }
      highlighter.ask({ block: block.id, version: ++block.version, language: block.language, code: block.code });
    };
    const hear = ({ from, lines, last }: Answered) => {
      block.lines = [...block.lines.slice(0, from), ...lines];
      const text = block.lines.map((line) => line.map(([, piece]) => piece).join("")).join("");
      setColoured({ text, lines: block.lines });
      if (!last) return;
      block.waiting = block.stale;
      if (block.stale) block.timer = window.setTimeout(send, AFTER_MS);
    };
    block.waiting = true;
    block.timer = window.setTimeout(send, growing ? AFTER_MS : 0);
  }, [block, code, language, growing]);
  useEffect(
    () => () => {
      clearTimeout(block.timer);
      block.waiting = false;
      if (!block.id) return;
      highlighter.forget(block.id);
      Object.assign(block, { id: 0, lines: [] });
    },
    [block],
  );
  return code.startsWith(coloured.text) ? coloured : NOTHING;
}
