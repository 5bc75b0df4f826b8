// Markdown as it arrives: what is finished is parsed once, only the block that still grows is parsed again.

import { Lexer, type Token } from "marked";

// A definition may stand anywhere below the link that uses it, so a text with one is parsed as a whole at its end.
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

// A fence that has arrived in part, at the very end: one more piece and it is one; till then it would be a line of code.
const HALF_FENCE = /(^|\n) {0,3}(`{1,2}|~{1,2})$/;

export class StreamedMarkdown {
  private done: Token[] = [];
  private doneText = "";
  private kept = 0; // how many of the blocks parsed last are in `done`

  /** The blocks of the text. A block that was finished before is the same object again. */
  parse(raw: string, streaming: boolean): Token[] {
    const text = raw.replace(/\r\n?/g, "\n");
    if (!text.startsWith(this.doneText) || (!streaming && DEFINITION.test(text))) this.reset();
    const tail = text.slice(this.doneText.length);
    const tokens = lex(streaming ? completed(tail) : tail);
    if (streaming) this.keep(tokens, tail);
    return streaming ? [...this.done, ...tokens.slice(this.kept)] : [...this.done, ...tokens];
  }

  /** All but the last block cannot change any more, whatever follows. */
  private keep(tokens: Token[], tail: string): void {
    let last = tokens.length - 1;
    while (last > 0 && tokens[last]?.type === "space") last--;
    const finished = tokens.slice(0, Math.max(0, last));
    const text = finished.map((token) => token.raw).join("");
    this.kept = 0;
    if (!finished.length || !tail.startsWith(text)) return;
    this.done.push(...finished);
    this.doneText += text;
    this.kept = finished.length;
  }

  private reset(): void {
    this.done = [];
    this.doneText = "";
  }
}

function lex(text: string): Token[] {
  return Lexer.lex(text, { gfm: true });
}

let remend: typeof import("remend").default | undefined;

/** Loads what closes open markers, on demand: a place for an answer is on screen well before its first word. */
export async function loadCompletion(): Promise<void> {
  remend = (await import("remend")).default;
}

/** The text with what is open in its last block (emphasis, code, a link) closed, so that markers do not flicker. */
function completed(text: string): string {
  // Without it, when the network has just gone, markers show until their end has come; the next words try again.
  if (!remend) void loadCompletion().catch(() => undefined);
  return (remend ?? verbatim)(text.replace(HALF_FENCE, ""), {
    linkMode: "text-only",
    katex: false,
    htmlTags: false,
    comparisonOperators: false,
    singleTilde: false,
  });
}

const verbatim = (text: string) => text;

/** The address if it is one to offer: the web and mail, nothing that runs or reads anything here. */
export function safeUrl(href: string): URL | null {
  try {
    const url = new URL(href);
    return ["https:", "http:", "mailto:"].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}
