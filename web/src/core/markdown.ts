// Markdown as it arrives: what is finished is parsed once, only the block that still grows is parsed again.

import { Lexer, type Token, Tokenizer } from "marked";
import { createStore } from "zustand/vanilla";

// A definition may stand anywhere below the link that uses it, so a text with one is parsed as a whole at its end.
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

// Loaded when a text has need of it. `count` grows with each, so that a page can show again what it had parsed without.
interface Loaded {
  count: number;
  cjk?: ReturnType<typeof import("marked-cjk-friendly").default>;
  maths?: typeof import("./mathematics");
}

export const loaded = createStore<Loaded>()(() => ({ count: 0 }));

// Emphasis beside the punctuation of these scripts is not in Markdown's own rules, and they have few blanks.
export const CJK =
  /[\u1100-\u11ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef]|[\ud81b-\ud83c\ud840-\ud8bf][\udc00-\udfff]/;
const MATHS = /\\[([]|\\begin\{|\$\$|\$[^\s\d$]|\$\d[^\n$]*[\\^_=][^\n$]*\$/;

const AGAIN_MS = 5_000;
const asked = { cjk: false, maths: false };

/** Loads what is needed, once; what could not be loaded is asked for again by a later text. */
function load(what: "cjk" | "maths"): void {
  if (asked[what] || loaded.getState()[what]) return;
  asked[what] = true;
  const loading =
    what === "cjk"
      ? import("marked-cjk-friendly").then((module) => ({ cjk: module.default() }))
      : import("./mathematics").then((maths) => ({ maths }));
  loading.then(
    (part) => loaded.setState(({ count }) => ({ ...part, count: count + 1 })),
    () => void setTimeout(() => Object.assign(asked, { [what]: false }), AGAIN_MS),
  );
}

export class StreamedMarkdown {
  private done: Token[] = [];
  private doneText = "";
  private kept = 0; // how many of the blocks parsed last are in `done`
  private needs = { cjk: false, maths: false };
  private parts = 0; // how many parts were loaded when `done` was parsed

  /** The blocks of the text. A block that was finished before is the same object again. */
  parse(raw: string, streaming: boolean): Token[] {
    const text = raw.replace(/\r\n?/g, "\n");
    if (!text.startsWith(this.doneText) || (!streaming && DEFINITION.test(text))) this.reset();
    if (this.parts !== loaded.getState().count) this.reset();
    let tail = text.slice(this.doneText.length);
    this.look(tail);
    const { cjk, maths } = this.loaded();
    if (streaming && this.needs.maths && !maths && asked.maths) tail = tail.slice(0, MATHS.exec(tail)?.index);
    // Without it, when the network has just gone, markers show until their end has come; the next words try again.
    if (streaming && !completed) void loadCompletion().catch(() => undefined);
    const tokens = lex(streaming && completed ? completed(tail, maths) : tail, cjk, maths);
    if (streaming) this.keep(tokens, tail);
    return streaming ? [...this.done, ...tokens.slice(this.kept)] : [...this.done, ...tokens];
  }

  /** Sees what of the text needs more than is there, and has it loaded. */
  private look(tail: string): void {
    this.needs.cjk ||= CJK.test(tail);
    this.needs.maths ||= MATHS.test(tail);
    if (this.needs.cjk) load("cjk");
    if (this.needs.maths) load("maths");
  }

  private loaded(): Omit<Loaded, "count"> {
    const { cjk, maths } = loaded.getState();
    return { ...(this.needs.cjk && cjk ? { cjk } : {}), ...(this.needs.maths && maths ? { maths } : {}) };
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
    this.needs = { cjk: false, maths: false };
    this.parts = loaded.getState().count;
  }
}

function lex(text: string, cjk: Loaded["cjk"], maths: Loaded["maths"]): Token[] {
  const tokenizer = new Tokenizer();
  if (cjk?.tokenizer) Object.assign(tokenizer, cjk.tokenizer);
  if (!maths) return Lexer.lex(text, { gfm: true, tokenizer });
  const { block, startBlock, inline, startInline, blindToFormulas } = maths;
  const extensions = {
    block: [block],
    startBlock: [startBlock],
    inline: [inline],
    startInline: [startInline],
    renderers: {},
    childTokens: {},
  };
  return Lexer.lex(text, { gfm: true, tokenizer: blindToFormulas(tokenizer), extensions });
}

let completed: typeof import("./completion").completed | undefined;

/** Loads what closes open markers, on demand: a place for an answer is on screen well before its first word. */
export async function loadCompletion(): Promise<void> {
  completed = (await import("./completion")).completed;
}

/** The address if it is one to offer: the web and mail, nothing that runs or reads anything here. */
export function safeUrl(href: string): URL | null {
  try {
    const url = new URL(href);
    return ["https:", "http:", "mailto:"].includes(url.protocol) ? url : null;
  } catch {
    return null;
  }
}
