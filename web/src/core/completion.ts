// Closes what is open at the end of a text that grows, so that markers do not flicker. Loaded with the first answer.

import remend from "remend";
import { CJK } from "./markdown";

// A fence that has arrived in part, at the very end: one more piece and it is one; till then it would be a line of code.
const HALF_FENCE = /(^|\n) {0,3}(`{1,2}|~{1,2})$/;

// Perhaps the beginning of a formula's mark: the next piece tells.
const HALF_MARK = /[\\$]$/;

// Between two letters remend takes a star for one of multiplication; in a script without blanks, it begins an emphasis.
const CJK_BEFORE_STAR = new RegExp(`(?:${CJK.source})(?=\\*)`, "g");

const HIDDEN = "\ufdd1"; // a noncharacter: no text has it
const FIRST = 0xe000;
const MOST = 0x1000;

/** Less one or two stars at the end, when they are the first of the three that end what three began. */
function withoutHalfOfThree(text: string): string {
  const ofThree = text.match(/(?<!\*)\*{3}(?!\*)/g)?.length ?? 0;
  return ofThree % 2 ? text.replace(/(?<=[^\s*])\*{1,2}$/, "") : text;
}

/** Less the stars or tildes at the end that begin an emphasis of which no word has come. */
function withoutLoneMark(text: string): string {
  const run = /(?<![\\*~])(?:\*{1,3}|~~)$/.exec(text)?.[0];
  if (!run) return text;
  const mark = `\\${run[0]}`;
  const same = text.match(new RegExp(`(?<![\\\\${mark}])${mark}{${run.length}}(?!${mark})`, "g")) ?? [];
  return same.length % 2 ? text.slice(0, -run.length) : text;
}

type HideFormulas = (text: string, put: (piece: string) => string) => string;

/** The text with what is open in its last block (emphasis, code, a link, a formula) closed. */
export function completed(text: string, maths?: { hideFormulas: HideFormulas }): string {
  // What would mislead remend is hidden from it: one character that is no letter, and the number of what it stands for.
  const hidden: string[] = [];
  const put = (piece: string) => {
    if (hidden.length === MOST) return piece;
    return HIDDEN + String.fromCharCode(FIRST + hidden.push(piece) - 1);
  };
  const whole = withoutHalfOfThree(text.replace(HALF_FENCE, ""));
  const hideDollars = () => whole.replace(HALF_MARK, "").replace(/\$/g, put);
  const masked = (maths ? maths.hideFormulas(whole, put) : hideDollars()).replace(CJK_BEFORE_STAR, put);
  const closed = remend(withoutLoneMark(masked), {
    linkMode: "text-only",
    katex: false,
    htmlTags: false,
    comparisonOperators: false,
    singleTilde: false,
  });
  return closed.replace(/\ufdd1([\ue000-\uefff])/g, (_, number: string) => hidden[number.charCodeAt(0) - FIRST] ?? "");
}
