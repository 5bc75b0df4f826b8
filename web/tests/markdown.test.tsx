import { render } from "@testing-library/react";
import { beforeAll, expect, it } from "vitest";
import { loadCompletion, StreamedMarkdown, safeUrl } from "../src/core/markdown";
import { renderBlocks } from "../src/ui/markdown";

beforeAll(loadCompletion);

const TEXT = `# Title

A paragraph with **bold**, *em*, \`code\`, ~~gone~~ and [a link](https://example.org).

- one
- two
  - nested

1. first

   more of it
2. second

\`\`\`python
def f():

    return 1
\`\`\`

| a | b |
|---|---|
| 1 | 2 |

> quoted
>
> twice

---

Last &amp; least.`;

const html = (text: string, streaming = false, parser = new StreamedMarkdown()) =>
  render(<div>{renderBlocks(parser.parse(text, streaming), streaming)}</div>).container.innerHTML;

it("ends as what it would be had it come at once, whatever the pieces", () => {
  const whole = html(TEXT);
  for (const size of [1, 3, 7, 40]) {
    const parser = new StreamedMarkdown();
    for (let end = size; end < TEXT.length; end += size) parser.parse(TEXT.slice(0, end), true);
    expect(html(TEXT, false, parser)).toBe(whole);
  }
});

it("keeps finished blocks the same objects while the last one grows", () => {
  const parser = new StreamedMarkdown();
  const before = parser.parse("One.\n\nTwo.\n\nThr", true);
  const after = parser.parse("One.\n\nTwo.\n\nThree.", true);
  expect(after[0]).toBe(before[0]);
});

it("makes a part of a long answer once, and none of its blocks moves when another is added", () => {
  const parser = new StreamedMarkdown();
  const paragraphs = Array.from({ length: 30 }, (_, index) => `Paragraph ${index}.`);
  const before = renderBlocks(parser.parse(paragraphs.slice(0, 20).join("\n\n"), true), true);
  const after = renderBlocks(parser.parse(paragraphs.join("\n\n"), true), true);
  expect(after[0]).toBe(before[0]);
  expect(after.length).toBeGreaterThan(before.length);
  const shown = render(<div>{after}</div>).container;
  expect([...shown.querySelectorAll(".part > p")].map((one) => one.textContent)).toEqual(paragraphs);
});

it("ends no part after a heading or a table: what follows one stands as near to it everywhere", () => {
  const text = Array.from({ length: 40 }, (_, index) => `## Heading ${index}\n\nText ${index}.`).join("\n\n");
  const { container } = render(<div>{renderBlocks(new StreamedMarkdown().parse(text, false), false)}</div>);
  const last = [...container.querySelectorAll(".part > :last-child")].map((one) => one.tagName);
  expect(last.length).toBeGreaterThan(3);
  expect(new Set(last)).toEqual(new Set(["P"]));
});

it("closes what is open at the end of a growing text", () => {
  expect(html("Some **bo", true)).toContain("<strong>bo</strong>");
  expect(html("See [the si", true)).not.toContain("[");
});

it("resolves a link defined below it once the text is whole", () => {
  const parser = new StreamedMarkdown();
  parser.parse("See [it].\n\nMore.\n\n[it]: https://exa", true);
  expect(html("See [it].\n\nMore.\n\n[it]: https://example.org", false, parser)).toContain(
    'href="https://example.org/"',
  );
});

it("shows HTML as text and loads no image", () => {
  const shown = html('<b onclick="x()">hi</b> ![pic](https://evil.example/a.png)\n\n<script>x()</script>');
  expect(shown).not.toMatch(/<b |<script|<img/);
  expect(shown).toContain("&lt;script&gt;");
  expect(shown).toContain("Image: pic (evil.example)");
});

it.each(["javascript:x()", "data:text/html,x", "file:///etc/passwd", "/relative", "vbscript:x", " java\nscript:x()"])(
  "offers no link to %s",
  (href) => expect(safeUrl(href)).toBeNull(),
);

it("does not show a closing fence that has arrived in part", () => {
  const open = "```js\nconst a = 1;\n";
  for (const part of ["`", "``", "~", "~~"]) expect(html(open + part, true)).toBe(html(open, true));
  expect(html(`${open}\`\`\``, true)).toContain("const");
});
