// Colours code beside the page: neither the grammars nor a long block ever hold it up. Sends only the lines that changed.

import { highlight, type Piece } from "./highlight";

/** A block of the page, and the code it has now; no code when the block is gone. */
export interface Asked {
  block: number;
  version: number;
  language: string;
  code?: string;
}

/** The lines from `from` on, which take the place of all that were sent from there; `last` ends the answer to `version`. */
export interface Answered {
  block: number;
  version: number;
  from: number;
  lines: Piece[][];
  last: boolean;
}

// So many lines at once are little for the page to show; the next come when it has.
const LINES = 150;
const PAUSE_MS = 30;

const sent = new Map<number, string[]>();
const latest = new Map<number, number>();

async function colour({ block, version, language, code = "" }: Asked): Promise<void> {
  const lines = highlight(language, code) ?? [];
  const known = sent.get(block) ?? [];
  let from = lines.findIndex((line, index) => JSON.stringify(line) !== known[index]);
  if (from < 0) from = lines.length;
  known.length = Math.min(from, known.length);
  sent.set(block, known);
  do {
    const some = lines.slice(from, from + LINES);
    known.push(...some.map((line) => JSON.stringify(line)));
    const last = from + LINES >= lines.length;
    self.postMessage({ block, version, from, lines: some, last } satisfies Answered);
    from += LINES;
    if (!last) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  } while (from < lines.length && latest.get(block) === version);
}

self.addEventListener("message", ({ data }: MessageEvent<Asked>) => {
  latest.set(data.block, data.version);
  if (data.code !== undefined) void colour(data);
  else {
    sent.delete(data.block);
    latest.delete(data.block);
  }
});

self.postMessage("ready");
