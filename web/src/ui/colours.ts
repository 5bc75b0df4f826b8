// The colours of a block of code, which come from a worker after its text: some lines at a time, and what came since is plain.

import { useEffect, useRef, useState } from "react";
import type { Piece } from "./highlight";
import type { Answered, Asked } from "./highlight.worker";

/** The first lines of a code, coloured; together they are `text`. */
export interface Coloured {
  text: string;
  lines: readonly Piece[][];
}

const AFTER_MS = 300; // a block that grows is coloured a few times a second: each time is a change of the page more
const LONGEST = 40_000;
const NOTHING: Coloured = { text: "", lines: [] };

let worker: Worker | null = null;
let blocks = 0;
const listening = new Map<number, (answer: Answered) => void>();

/** One worker for all blocks, begun with the first. Where there is none, or it does not load, code stays plain. */
function ask(asked: Asked): void {
  if (!worker) {
    worker = new Worker(new URL("./highlight.worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<Answered>) => listening.get(data.block)?.(data));
  }
  worker.postMessage(asked);
}

export function useColours(code: string, language: string, growing: boolean): Coloured {
  const [coloured, setColoured] = useState(NOTHING);
  const block = useRef({
    id: 0,
    version: 0,
    waiting: false,
    stale: false,
    timer: 0,
    code,
    lines: [] as Piece[][],
  }).current;
  block.code = code;
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
        listening.set(block.id, hear);
      }
      ask({ block: block.id, version: ++block.version, language, code: block.code });
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
      listening.delete(block.id);
      ask({ block: block.id, version: 0, language: "" });
      Object.assign(block, { id: 0, lines: [] });
    },
    [block],
  );
  return code.startsWith(coloured.text) ? coloured : NOTHING;
}
