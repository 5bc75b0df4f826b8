// Emphasis in Chinese, Japanese and Korean: beside their punctuation, where Markdown's own rules see none.

import { render } from "@testing-library/react";
import { Parser } from "marked";
import { beforeAll, expect, it, vi } from "vitest";
import { loadCompletion, loaded, StreamedMarkdown } from "../src/core/markdown";
import { renderBlocks } from "../src/ui/markdown";

beforeAll(async () => {
  await loadCompletion();
  new StreamedMarkdown().parse("漢字", false); // has the rest loaded
  await vi.waitFor(() => expect(loaded.getState().cjk).toBeTruthy());
});

const shown = (text: string, streaming = false, parser = new StreamedMarkdown()) =>
  render(<div>{renderBlocks(parser.parse(text, streaming), streaming)}</div>).container;
/** The same without a page, which takes long for many texts. */
const html = (text: string, streaming = false, parser = new StreamedMarkdown()) =>
  Parser.parse(parser.parse(text, streaming));

it.each([
  ["**注意：**正文", "注意："],
  ["含**「重点」**内容", "「重点」"],
  ["**“공개 문서”**는", "“공개 문서”"],
  ["**이 용어(This term)**를 강조해 주세요.", "이 용어(This term)"],
  ["**わ〜い！強調記号ができます！**問題なし！", "わ〜い！強調記号ができます！"],
  [
    "**この文を強調できますか（Can I emphasize this sentence）？**残念ながら",
    "この文を強調できますか（Can I emphasize this sentence）？",
  ],
  ["我可以强调**这个`code`**吗", "这个code"],
  ["1. **第一步：**打开“设置”", "第一步："],
  ["- **早餐：**肠粉、粿条汤。", "早餐："],
  ["> **结论：**可以。", "结论："],
  ["## **概要：**本文", "概要："],
  ["これは**𠮟る。**と読む", "𠮟る。"], // beyond the first plane
  ["**葛󠄀城市。**です", "葛󠄀城市。"], // a variant of a character
  ["**︁。︁**文", "︁。︁"],
  ["**⭐️おすすめ：**本文", "⭐️おすすめ："],
  ["今日は**⭐️**です", "⭐️"],
  ["注意**👨‍👩‍👧「家族」**です", "👨‍👩‍👧「家族」"],
  ["价格**$5。**很便宜", "$5。"],
  ["**ﾃｽﾄ｡**です", "ﾃｽﾄ｡"], // half as wide
  ["**『二重』、**と", "『二重』、"],
  ["中文**“引用”**中文", "“引用”"],
  ["中文**English.**中文", "English."],
])("makes %s bold", (text, bold) => {
  const container = shown(text);
  expect(container.querySelector("strong")?.textContent).toBe(bold);
  expect(container.textContent).not.toContain("*");
});

// Every pair of marks around every kind of beginning and end, between letters of each script.
const MARKS = [
  ["**", "<strong>", "</strong>"],
  ["*", "<em>", "</em>"],
  ["~~", "<del>", "</del>"],
  ["***", "<em><strong>", "</strong></em>"],
] as const;
const LETTERS = ["漢", "か", "カ", "한", "𠮷"];
const OPENING = ["", "「", "（", "“", "《", "【", "（a", "‘", "$", "1", "😀", "☺️"];
const CLOSING = ["", "」", "）", "”", "》", "】", "。", "、", "：", "！", "？", "…", "%", "1", "😀", "☺️"];
const sweep = MARKS.flatMap(([mark, begin, end]) => LETTERS.map((letter) => ({ mark, begin, end, letter })));

it.each(sweep)("ends $mark between $letter and any punctuation", ({ mark, begin, end, letter }) => {
  const failed: string[] = [];
  for (const open of OPENING) {
    for (const close of CLOSING) {
      const inner = `${open}${letter}${close}`;
      const text = `${letter}${mark}${inner}${mark}${letter}`;
      if (!html(text).includes(`${letter}${begin}${inner}${end}${letter}`)) failed.push(text);
    }
  }
  expect(failed).toEqual([]);
});

it.each(sweep)("shows no $mark of an emphasis that grows beside $letter", ({ mark, begin, letter }) => {
  const failed: string[] = [];
  for (const open of ["", "「", "“", "😀"]) {
    const text = `${letter}${mark}${open}${letter}${letter}」${mark}${letter}です。`;
    const parser = new StreamedMarkdown();
    const from = letter.length + mark.length + open.length + letter.length; // the first letter of the emphasis is there
    for (let end = from; end <= text.length; end++) {
      if (/[\ud800-\udbff]$/.test(text.slice(0, end))) continue; // no piece of an answer ends there
      const part = html(text.slice(0, end), true, parser);
      if (!part.includes(begin) || /[*~]/.test(part)) failed.push(text.slice(0, end));
    }
  }
  expect(failed).toEqual([]);
});

it("ends as what it would be had it come at once", () => {
  const text = "**注意：**正文。\n\n含*「重点」*内容と~~削除。~~文\n\n1. **第一步：**打开\n2. 次";
  const whole = shown(text).innerHTML;
  for (const size of [1, 2, 5]) {
    const parser = new StreamedMarkdown();
    for (let end = size; end < text.length; end += size) parser.parse(text.slice(0, end), true);
    expect(shown(text, false, parser).innerHTML).toBe(whole);
  }
});

// What has no CJK in it, and what is no emphasis, stays as it was.
it.each(["a ** b **c", "2**3**4", "**“quoted”**s", "snake_case_name", "5*3*2", "a*“b”*c", "\\*\\*text\\*\\*"])(
  "leaves %s alone",
  (text) => {
    const parser = new StreamedMarkdown();
    parser.parse("漢", true); // from here on it uses what it uses for CJK
    expect(html(`漢\n\n${text}`, false, parser)).toBe(`<p>漢</p>\n${html(text)}`);
  },
);

it("leaves code alone", () => expect(shown("`**注意：**文`").textContent).toBe("**注意：**文"));

it("leaves an underscore inside a word alone", () => {
  expect(shown("変数_名前_です").querySelector("em")).toBeNull();
});
