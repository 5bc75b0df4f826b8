// Formulas: which of a text's marks make one, what stays money, code and brackets, and what is seen while one arrives.

import { render } from "@testing-library/react";
import type { Token } from "marked";
import { beforeAll, expect, it, vi } from "vitest";
import { loadCompletion, loaded, StreamedMarkdown } from "../src/core/markdown";
import { renderBlocks } from "../src/ui/markdown";

beforeAll(async () => {
  Object.defineProperty(document, "compatMode", { value: "CSS1Compat" }); // as index.html is
  await loadCompletion();
  new StreamedMarkdown().parse("\\(x\\) 漢", false); // has the rest loaded
  await vi.waitFor(() => expect(loaded.getState()).toMatchObject({ cjk: {}, maths: {} }));
});

const shown = (text: string, streaming = false, parser = new StreamedMarkdown()) =>
  render(<div>{renderBlocks(parser.parse(text, streaming), streaming)}</div>).container;

/** The formulas' sources, those on lines of their own with a star before them; and the text around them. */
function read(container: Element): { formulas: string[]; rest: string } {
  const all = [...container.querySelectorAll("math")];
  const formulas = all.map(
    (math) => (math.getAttribute("display") === "block" ? "*" : "") + math.getAttribute("alttext"),
  );
  for (const math of all) math.remove();
  return { formulas, rest: container.textContent ?? "" };
}

it.each([
  ["\\( x_1 \\)", ["x_1"]],
  ["so \\(x\\), and \\(y\\).", ["x", "y"]],
  ["\\[ x = 1 \\]", ["*x = 1"]],
  ["\\[\nx = 1\n\\]", ["*x = 1"]],
  ["\\[\n\n\\frac{a}{b}\n\n\\]", ["*\\frac{a}{b}"]],
  ["$$x^2$$", ["*x^2"]],
  ["$$\nx^2\n$$", ["*x^2"]],
  ["where $$E = mc^2$$ holds", ["*E = mc^2"]],
  ["where \\[E = mc^2\\] holds", ["*E = mc^2"]],
  ["the $n$-th and $n - 1$", ["n", "n - 1"]],
  ["$2x + 1$, $10^5$ and $3 \\times 4$", ["2x + 1", "10^5", "3 \\times 4"]],
  ["$x$, $y$; ($z$).", ["x", "y", "z"]],
  ["公式$x_1$是", ["x_1"]],
  ["수식\\(x\\)입니다", ["x"]],
  ["**bold $x_1$ and \\(a*b\\)**", ["x_1", "a*b"]],
  ["*a \\(b*c\\) and $d*e$ f*", ["b*c", "d*e"]],
  ["a*b, \\(c*d\\)", ["c*d"]],
  ["~~\\(a~~b\\) c~~", ["a~~b"]],
  ["- one \\(x\\)\n- two\n\n  \\[\n  y\n  \\]", ["x", "*y"]],
  ["1. First:\n   $$\n   a = b\n   $$\n2. Second", ["*a = b"]],
  ["> \\[ x = 1 \\]", ["*x = 1"]],
  ["## About \\(x\\)", ["x"]],
  ["| a | b |\n|---|---|\n| \\(x\\) | $y$ |", ["x", "y"]],
  [
    "text\n\\[\n\\begin{aligned}\na &= b \\\\\n- c\n\\end{aligned}\n\\]\ntext",
    ["*\\begin{aligned}\na &= b \\\\\n- c\n\\end{aligned}"],
  ],
  ["\\[ \\begin{matrix} a \\\\[2pt] b \\end{matrix} \\]", ["*\\begin{matrix} a \\\\[2pt] b \\end{matrix}"]],
  ["\\begin{align}\na &= b\n\\end{align}", ["*\\begin{align}\na &= b\n\\end{align}"]],
  ["[see \\(x\\)](https://example.org)", ["x"]],
  ["\\(\\text{if } x < y\\)", ["\\text{if } x < y"]],
  ["\\(a\nb\\)", ["a\nb"]],
  ["$5 for \\(x\\) and $10", ["x"]],
])("finds the formulas of %j", (text, expected) => {
  const { formulas, rest } = read(shown(text));
  expect(formulas).toEqual(expected);
  expect(rest).not.toMatch(/\\[()[\]]|\$\$/);
});

it.each([
  "$5 and $10",
  "$5 and $ 10",
  "from $5-$10 to $20",
  "$1,000 and $2,000.50",
  "US$5 and AU$10",
  "5$ or 10$",
  "5 $ or 10 $",
  "$5 million (was $10 million)",
  "either $5 or 10$ each",
  "$100k+$200k=$300k",
  "**$5** and **$10**",
  "a ($5) and b ($10)",
  "it costs $5/month, $50/year",
  "价格$5到$10",
  "hotels ($$) and restaurants ($$$)",
  "Price: $$ – $$$",
  "cheap ($$) or dear ($$)",
  "$HOME and $PATH",
  "PATH=$HOME/bin:$PATH",
  "$FOO:$BAR",
  'either "$" or "$"',
  "a lone $",
  "\\$x\\$ stays",
])("leaves %j as it is", (text) => {
  const { formulas, rest } = read(shown(text));
  expect(formulas).toEqual([]);
  expect(rest).toBe(text.replace(/\*\*|\\(?=\$)/g, ""));
});

it.each([
  ["`\\(x\\)` and `$$y$$`", "\\(x\\) and $$y$$"],
  ["```\n\\[ x \\]\n$$y$$\n```", "\\[ x \\]\n$$y$$"],
  ["~~~tex\n\\(x\\)\n~~~", "\\(x\\)"],
  ["    \\[ x_1 \\]", "\\[ x_1 \\]"],
  ["pay $x, see `a$` now", "a$"],
  ["the mark `\\(` begins, `\\)` ends", "\\("],
])("leaves code as it is: %j", (text, code) => {
  const container = shown(text);
  expect(container.querySelector("math")).toBeNull();
  expect(container.textContent).toContain(code);
});

it.each([
  ["\\[1\\] and \\[2\\]", "[1] and [2]"],
  ["\\[TODO\\]", "[TODO]"],
  ["- \\[x\\] done", "[x] done"],
  ["\\[not a link\\](https://example.org)", "[not a link](https://example.org)"],
  ["\\(see below for more\\)", "(see below for more)"],
  ["\\\\(x\\\\)", "\\(x\\)"],
])("leaves escaped brackets: %j", (text, plain) => {
  const container = shown(text);
  expect(container.querySelector("math")).toBeNull();
  expect(container.textContent).toBe(plain);
});

it("shows the source of what is no TeX, with its marks", () => {
  const container = shown("so \\(\\frac{a}\\) and $$\\nosuch{$$");
  expect(container.querySelector("math")).toBeNull();
  expect([...container.querySelectorAll("code")].map((one) => one.textContent)).toEqual([
    "\\(\\frac{a}\\)",
    "$$\\nosuch{$$",
  ]);
});

it.each([
  "\\href{javascript:alert(1)}{x}",
  "\\url{https://evil.example/}",
  "\\includegraphics{https://evil.example/x.png}",
  "\\htmlId{root}{x}",
  "\\htmlStyle{position:fixed}{x}",
  "\\htmlData{a=b}{x}",
])("takes nothing from a formula but a formula: %s", (tex) => {
  const { innerHTML } = shown(`\\(${tex}\\)`);
  expect(innerHTML).not.toMatch(/(href|src|id|data-a)=|javascript:(?!alert\(1\)\}\{x\}")/);
  expect(innerHTML).not.toMatch(/<(a|img|script|iframe)\b/);
});

it("makes text of markup in a formula", () => {
  const container = shown('\\(\\text{<img src=x onerror="a()">} & <b>\\)');
  expect(container.querySelector("img, b")).toBeNull();
});

it.each(["\\def\\a{\\a\\a}\\a", "{".repeat(3_000), `\\rule{100000em}{100000em}`, "x^{".repeat(2_000)])(
  "survives %.20s",
  (tex) => expect(() => shown(`\\(${tex}\\)`)).not.toThrow(),
);

const TEXT = `Let \\(x_1\\) and $y^*$ be *two* numbers (from $5 and $10).

\\[
\\begin{aligned}
a &= b * c \\\\
  &= d
\\end{aligned}
\\]

Then **so \\(a_{1}^*b\\) holds**, and $$E = mc^2$$ follows.

1. One: \\(\\frac{a}{b}\\)
2. Two:
   $$
   \\sum_{i=1}^{n} i
   $$

\`\`\`sh
echo $HOME \\(x\\)
\`\`\`

The end costs $20.`;

it("ends as what it would be had it come at once, whatever the pieces", () => {
  const whole = shown(TEXT).innerHTML;
  expect(read(shown(TEXT)).formulas).toHaveLength(7);
  for (const size of [1, 2, 3, 7, 40]) {
    const parser = new StreamedMarkdown();
    for (let end = size; end < TEXT.length; end += size) parser.parse(TEXT.slice(0, end), true);
    expect(shown(TEXT, false, parser).innerHTML).toBe(whole);
  }
});

/** What is read of blocks, less the formulas and the code; and how many formulas there are. Without a page, for many texts. */
function plain(tokens: readonly Token[]): { text: string; formulas: number } {
  let text = "";
  let formulas = 0;
  for (const token of tokens) {
    if (token.type === "formula") formulas++;
    if (["formula", "open", "code"].includes(token.type)) continue;
    const inner = "items" in token ? token.items : "tokens" in token ? token.tokens : undefined;
    const read = inner ? plain(inner) : { text: "text" in token ? String(token.text) : "", formulas: 0 };
    text += read.text;
    formulas += read.formulas;
  }
  return { text, formulas };
}

it("shows no mark of a formula, and no part of one, while it arrives", () => {
  const parser = new StreamedMarkdown();
  let formulas = 0;
  for (let end = 1; end < TEXT.length; end++) {
    const seen = plain(parser.parse(TEXT.slice(0, end), true));
    expect(seen.formulas, TEXT.slice(0, end)).toBeGreaterThanOrEqual(formulas);
    formulas = seen.formulas;
    expect(seen.text, TEXT.slice(0, end)).not.toMatch(/[\\^*{}]|\$\$|\$[a-z]/);
  }
  expect(formulas).toBe(7);
});

it("keeps a formula that is there while the text after it grows", () => {
  const parser = new StreamedMarkdown();
  const { container, rerender } = render(<div>{renderBlocks(parser.parse("So \\(x_1\\) is", true), true)}</div>);
  const math = container.querySelector("math");
  rerender(<div>{renderBlocks(parser.parse("So \\(x_1\\) is there, $5", true), true)}</div>);
  expect(container.querySelector("math")).toBe(math);
  expect(container.textContent).toContain("is there, $5");
});

it("shows a sum of money as it arrives", () => {
  const text = "It costs $5 and then $10, or $1,000 *more*";
  const parser = new StreamedMarkdown();
  for (let end = 12; end < text.length; end++) {
    const written = text.slice(0, end).replace(/\*/g, "").trimEnd().replace(/\$$/, "");
    expect(plain(parser.parse(text.slice(0, end), true)).text.trimEnd()).toBe(written.trimEnd());
  }
});
