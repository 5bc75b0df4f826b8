// Mathematics in Markdown: what of a text is a formula, and its MathML. Loaded with KaTeX when a text has marks of it.
//
// Formulas stand between \( \), \[ \], $ $ and $$ $$, or are one of TeX's environments. Money, code, escaped brackets and the
// variables of a shell use the same characters, so each pair of marks has conditions. (marked-katex-extension knows dollars alone,
// takes "$5 and $ 10" for a formula, and none that follows a CJK letter.)

import katex from "katex";
import type { Tokenizer, TokenizerExtensionFunction, TokenizerStartFunction, Tokens } from "marked";

/** Puts a formula's MathML into an element of the page. */
type Draw = (place: Element | null) => void;

export interface Formula extends Tokens.Generic {
  type: "formula";
  tex: string;
  display: boolean;
  /** Null where it is no TeX: its source is shown. */
  draw: Draw | null;
}

interface Found {
  raw: string;
  tex: string;
  display: boolean;
}

/** Stands in a text that grows for a formula whose end has not come. A noncharacter: no text has it. */
export const OPEN = "\ufdd0";

const LONGEST = 8_000;
const MATHS_CHARACTER = /[\\^_=+*/<>|{}]/;
const WORDS = /\p{L}{2,}[,;:]?\s+\p{L}{2,}/u;
const BLANK_LINE = /\n[^\S\n]*\n/;
// A letter or digit of a word; CJK is written without blanks, so its letters say nothing of what is beside them.
const PART_OF_WORD = /(?!\p{sc=Han}|\p{sc=Hiragana}|\p{sc=Katakana}|\p{sc=Hangul})[\p{L}\p{N}]/u;

// Each body takes an escaped character whole, no blank line and no code.
const PARENTHESES = /\\\(((?:\\[^()]|[^\\`\n]|\n(?!\s*\n))+?)\\\)/y;
const BRACKETS = /\\\[(\s*(?:\\[^[\]]|[^\\`\n]|\n(?!\s*\n))+?\s*)\\\]/y;
const TWO_DOLLARS = /\$\$(?!\$)(\s*(?:\\[^\n]|[^\\`$\n]|\n(?!\s*\n))+?\s*)\$\$(?!\$)/y;
const DOLLAR = /\$(?![\s$])((?:\\[^\n]|[^\\`$\n])+?)\$/y;
const ENVIRONMENTS = "(?:equation|align|alignat|gather)\\*?";
const ENVIRONMENT = new RegExp(`\\\\begin\\{(${ENVIRONMENTS})\\}(?:[^\\n]|\\n(?!\\s*\\n))+?\\\\end\\{\\1\\}`, "y");

const isProse = (text: string) => WORDS.test(text) && !MATHS_CHARACTER.test(text);

function matchAt(pattern: RegExp, text: string, index: number): RegExpExecArray | null {
  pattern.lastIndex = index;
  const match = pattern.exec(text);
  return match && match[0].length <= LONGEST ? match : null;
}

/** The formula that begins at the index; `before` is the character before it. */
function formulaAt(text: string, index: number, before: string): Found | null {
  const two = text.slice(index, index + 2);
  if (two === "\\(") {
    const match = matchAt(PARENTHESES, text, index);
    const body = match?.[1] ?? "";
    return match && body.trim() && !isProse(body) ? { raw: match[0], tex: body, display: false } : null;
  }
  if (two === "\\[") {
    const match = matchAt(BRACKETS, text, index);
    const body = match?.[1] ?? "";
    // \[1\], \[TODO\] and \[a link\](…) are brackets that somebody escaped.
    const isPadded = /^\s[\s\S]*\s$/.test(body);
    if (!match || !body.trim() || isProse(body) || !(isPadded || MATHS_CHARACTER.test(body))) return null;
    return text[index + match[0].length] === "(" ? null : { raw: match[0], tex: body, display: true };
  }
  if (two === "$$") {
    const match = before === "$" ? null : matchAt(TWO_DOLLARS, text, index);
    const body = match?.[1]?.trim() ?? "";
    return match && isLikelyMaths(body) ? { raw: match[0], tex: body, display: true } : null;
  }
  if (two[0] === "$") {
    const match = mayOpenDollar(before) ? matchAt(DOLLAR, text, index) : null;
    const body = match?.[1] ?? "";
    if (!match || /\s$/.test(body) || isAmount(body) || !isLikelyMaths(body)) return null;
    const after = text.slice(index + match[0].length).match(/^./u)?.[0] ?? "";
    return PART_OF_WORD.test(after) || after === "$" ? null : { raw: match[0], tex: body, display: false };
  }
  const match = two === "\\b" ? matchAt(ENVIRONMENT, text, index) : null;
  return match && { raw: match[0], tex: match[0], display: true };
}

const mayOpenDollar = (before: string) => before !== "$" && !PART_OF_WORD.test(before);

const isLikelyMaths = (body: string) =>
  body !== "" && !isProse(body) && (!/[\s"]/.test(body) || MATHS_CHARACTER.test(body) || / - /.test(body));

/** "5 and 10" and "5 million" are amounts; "2x + 1", "10^5" and "3 \times 4" are not. */
function isAmount(body: string): boolean {
  return /^[\d.,]/.test(body) && /\p{L}{2,}/u.test(body.replace(/\\[a-z]+(\{[^}]*\})?/gi, ""));
}

/** Whether what begins at the index, and reaches to the end of the text, can still become a formula. */
function isOpenAt(text: string, index: number, before: string): boolean {
  const rest = text.slice(index);
  if (rest === "\\") return true;
  const body = rest.slice(rest.startsWith("$$") ? 2 : 1);
  if (rest.length > LONGEST || rest.includes("`")) return false;
  if (/^\\b[a-z]*(?:\{[a-z]*\*?)?$/.test(rest) && "\\begin{".startsWith(rest.replace(/\{.*/, "{"))) return true;
  if (/^\\[([]|^\$\$/.test(rest) || new RegExp(`^\\\\begin\\{${ENVIRONMENTS}\\}`).test(rest)) {
    if (rest.startsWith("$$") && (before === "$" || /\$[\s\S]/.test(body))) return false;
    // A blank line may come just before the end, of which half may be there.
    const soFar = body
      .replace(/^[([]/, "")
      .trimStart()
      .replace(/\s*[\\$]?$/, "");
    return !BLANK_LINE.test(soFar) && !isProse(soFar);
  }
  if (rest[0] !== "$" || !mayOpenDollar(before) || /^\s/.test(body) || /[\n$]/.test(body)) return false;
  return /^[\d.,]/.test(body)
    ? /[\\^_{]/.test(body)
    : !/\s/.test(body) || (MATHS_CHARACTER.test(body) && !isAmount(body));
}

// Code, as far as a text that grows has it; and characters that are escaped.
const FENCE =
  /(?:[ \t>]|[-*+][ \t]|\d+[.)][ \t])*(`{3,}|~{3,})[^\n]*(?:\n[\s\S]*?(?:\n[ \t>]*\1[`~]*[ \t]*(?=\n|$)|$)|$)/y;
const SPAN = /(`+)(?!`)(?:[\s\S]*?[^`])?\1(?!`)|`[\s\S]*$/y;
const ESCAPED = /\\[!-'*-/:-@\\\]-`{-~]/y;

/**
 * The text of a block that grows, with each formula, and each dollar that is none, passed through `put`; and OPEN in place of a
 * formula whose end has not come. What is code stays as it is.
 */
export function hideFormulas(text: string, put: (hidden: string) => string): string {
  const mark = /[`~\\$]/g;
  let out = "";
  let at = 0;
  for (let match = mark.exec(text); match; match = mark.exec(text)) {
    const index = match.index;
    const lineAt = text.lastIndexOf("\n", index - 1) + 1;
    const code = matchAtLength(FENCE, text, lineAt) > index - lineAt ? lineAt + matchAtLength(FENCE, text, lineAt) : 0;
    const before = text.slice(0, index).match(/[\s\S]$/u)?.[0] ?? "";
    const formula = code ? null : formulaAt(text, index, before);
    if (formula) {
      out += text.slice(at, index) + put(formula.raw);
      at = index + formula.raw.length;
    } else if (code || matchAtLength(SPAN, text, index) || matchAtLength(ESCAPED, text, index)) {
      const end = code || index + (matchAtLength(SPAN, text, index) || matchAtLength(ESCAPED, text, index));
      out += text.slice(at, end);
      at = end;
    } else if (isOpenAt(text, index, before)) {
      return out + text.slice(at, index) + OPEN;
    } else if (match[0] === "$") {
      out += text.slice(at, index) + put("$");
      at = index + 1;
    }
    mark.lastIndex = Math.max(at, index + 1);
  }
  return out + text.slice(at);
}

function matchAtLength(pattern: RegExp, text: string, index: number): number {
  pattern.lastIndex = index;
  return pattern.exec(text)?.[0].length ?? 0;
}

// --- as an extension of marked ---

const formula = ({ raw, tex, display }: Found): Formula => ({
  type: "formula",
  raw,
  tex: tex.trim(),
  display,
  draw: drawingOf(tex.trim(), display),
});

/** A formula on lines of its own. */
export const block: TokenizerExtensionFunction = (src) => {
  const indent = /^ {0,3}(?=\\\[|\$\$|\\begin\{)/.exec(src)?.[0].length;
  const found = indent === undefined ? null : formulaAt(src, indent, "\n");
  const rest = found && /^[^\S\n]*(?:\n+|$)/.exec(src.slice((indent ?? 0) + found.raw.length));
  if (!found || !rest) return undefined;
  return formula({ ...found, raw: " ".repeat(indent ?? 0) + found.raw + rest[0] });
};

/** Where a paragraph ends because a formula on lines of its own follows. */
export const startBlock: TokenizerStartFunction = (src) => {
  for (const { index } of src.matchAll(/\n(?= {0,3}(?:\\\[|\$\$|\\begin\{))/g)) {
    if (block.call({} as never, src.slice(index + 1), [])) return index + 1;
  }
  return undefined;
};

export const inline: TokenizerExtensionFunction = (src, tokens) => {
  if (src[0] === OPEN) return { type: "open", raw: OPEN };
  if (src[0] !== "\\" && src[0] !== "$") return undefined;
  const found = formulaAt(src, 0, tokens.at(-1)?.raw.match(/[\s\S]$/u)?.[0] ?? "");
  return found ? formula(found) : undefined;
};

export const startInline: TokenizerStartFunction = (src) => {
  const index = src.search(/\\[([b]|\$|\ufdd0/);
  return index < 0 ? undefined : index;
};

/** The tokenizer, which then takes no star or tilde inside a formula for the end of an emphasis. */
export function blindToFormulas(tokenizer: Tokenizer): Tokenizer {
  const { emStrong, del } = tokenizer;
  tokenizer.emStrong = (src, masked, before) => emStrong.call(tokenizer, src, maskFormulas(src, masked), before);
  tokenizer.del = (src, masked, before) => del.call(tokenizer, src, maskFormulas(src, masked), before);
  return tokenizer;
}

/** `masked` ends with what marked has made of `src`, at the same places. */
function maskFormulas(src: string, masked: string): string {
  const from = masked.length - src.length;
  let out = masked;
  for (const { index } of src.matchAll(/\\[([]|\$/g)) {
    const found = out[from + index] === "a" ? null : formulaAt(src, index, src[index - 1] ?? "");
    if (!found) continue;
    const end = from + index + found.raw.length;
    out = out.slice(0, from + index) + "a".repeat(found.raw.length) + out.slice(end);
  }
  return out;
}

// --- MathML ---

const NAMESPACE = "http://www.w3.org/1998/Math/MathML";
const KEPT = 500;
const made = new Map<string, Draw | null>();

/** Forgets what was drawn: it was one person's. */
export const forget = () => made.clear();

/** What draws a formula; null where KaTeX cannot read it. A formula in a text that grows is asked for again and again. */
function drawingOf(tex: string, display: boolean): Draw | null {
  const key = `${display}${tex}`;
  const known = made.get(key);
  if (known !== undefined) return known;
  if (made.size >= KEPT) made.clear();
  const math = translated(tex, display);
  const draw = math && ((place: Element | null) => place?.replaceChildren(math.cloneNode(true)));
  made.set(key, draw);
  return draw;
}

function translated(tex: string, display: boolean): Element | null {
  try {
    const markup = katex.renderToString(tex, {
      output: "mathml", // needs neither fonts nor a style sheet
      displayMode: display,
      strict: "ignore",
      trust: false, // no addresses, no classes, no styles from a text
      maxSize: 20,
      maxExpand: 300,
    });
    return read(markup, tex);
  } catch (error) {
    if (error instanceof katex.ParseError || error instanceof RangeError) return null; // RangeError: nested too deeply
    throw error;
  }
}

const MARKUP = /<(\/?)([a-z]+)((?: [\w:-]+ ?="[^"]*")*)(\/?)>|([^<]+)/g;

/**
 * KaTeX's markup as elements; less the copy of the source in it, which a browser without MathML would show. Made one by one, since the
 * site's policy forbids styles in markup, not those that a script sets.
 */
function read(markup: string, tex: string): Element | null {
  const root = document.createElement("span");
  const open: Element[] = [root];
  for (const [, end, tag = "", attributes = "", isEmpty, text] of markup.matchAll(MARKUP)) {
    const parent = open.at(-1) ?? root;
    if (text !== undefined) parent.append(decoded(text));
    else if (end) open.pop();
    else {
      const element = document.createElementNS(NAMESPACE, tag) as MathMLElement;
      for (const [, name = "", value = ""] of attributes.matchAll(/ ([\w:-]+) ?="([^"]*)"/g)) {
        if (name === "style") element.style.cssText = decoded(value);
        else if (name !== "xmlns") element.setAttribute(name, decoded(value));
      }
      parent.append(element);
      if (!isEmpty) open.push(element);
    }
  }
  const math = root.querySelector("math");
  const content = math?.querySelector("semantics")?.firstElementChild;
  if (!math || !content) return null;
  math.replaceChildren(content);
  math.setAttribute("alttext", tex);
  return math;
}

const ENTITIES: Record<string, string> = { "&amp;": "&", "&lt;": "<", "&gt;": ">", "&quot;": '"', "&#x27;": "'" };

const decoded = (text: string) => text.replace(/&(?:amp|lt|gt|quot|#x27);/g, (entity) => ENTITIES[entity] ?? entity);
