// Markdown to elements. Raw HTML is text, an image is a link, and an address is one to the web or to mail.

import type { Token, Tokens } from "marked";
import { Fragment, type ReactElement, type ReactNode } from "react";
import { safeUrl } from "../core/markdown";
import type { Formula } from "../core/mathematics";
import { strings } from "../strings";
import { CodeBlock } from "./CodeBlock";

// An element that is the same object again is not rendered again.
const made = new WeakMap<Token, ReactElement>();
const madeParts = new WeakMap<Token, ReactElement>();

// A long answer is a few parts, not hundreds of blocks side by side: React and the browser pass over a whole part.
const PART = 12;
// After these alone a part may end: what follows one keeps its distance by itself.
const PLAIN = new Set(["paragraph", "list", "text"]);

/** The answer as parts of some blocks each. A part that is finished is the same object again at the next call. */
export function renderBlocks(tokens: readonly Token[], streaming: boolean): ReactElement[] {
  const shown = tokens.filter((token) => token.type !== "space" && token.type !== "def");
  const parts: ReactElement[] = [];
  for (let from = 0; from < shown.length; ) {
    let to = Math.min(from + PART, shown.length);
    while (to < shown.length && !PLAIN.has(shown[to - 1]?.type ?? "")) to++;
    parts.push(part(shown.slice(from, to), parts.length, to < shown.length, streaming));
    from = to;
  }
  return parts;
}

function part(tokens: readonly Token[], key: number, finished: boolean, streaming: boolean): ReactElement {
  const first = tokens[0];
  const known = finished && first && madeParts.get(first);
  if (known) return known;
  const element = (
    <div key={key} className="part">
      {tokens.map((token, index) => kept(token, !finished && streaming && index === tokens.length - 1, index))}
    </div>
  );
  if (finished && first) madeParts.set(first, element);
  return element;
}

function kept(token: Token, growing: boolean, index: number): ReactElement {
  const element = made.get(token) ?? block(token, growing, index);
  if (!growing) made.set(token, element);
  return element;
}

// A function, not a component: each would be one more to render per token.
function block(token: Token, growing: boolean, index: number): ReactElement {
  const key = `${index}`;
  const mark = growing ? "growing" : undefined;
  switch (token.type) {
    case "heading": {
      const Heading = `h${Math.min(6, (token as Tokens.Heading).depth + 2)}` as "h3";
      return (
        <Heading key={key} dir="auto" className={`level${(token as Tokens.Heading).depth}${growing ? " growing" : ""}`}>
          {inline(token.tokens)}
        </Heading>
      );
    }
    case "code": {
      const code = token as Tokens.Code;
      return <CodeBlock key={key} code={code.text} language={languageOf(code, growing)} growing={growing} />;
    }
    case "blockquote":
      return (
        <blockquote key={key} dir={directionOf(token.raw)}>
          {(token.tokens ?? []).map((one, at) => block(one, growing, at))}
        </blockquote>
      );
    case "list":
      return list(token as Tokens.List, key, growing);
    case "table":
      return table(token as Tokens.Table, key);
    case "hr":
      return <hr key={key} />;
    case "paragraph":
    case "text":
      return (
        <p key={key} dir="auto" className={mark}>
          {token.tokens ? inline(token.tokens) : decoded((token as Tokens.Text).text)}
        </p>
      );
    case "formula":
      return (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide formula is scrolled by keyboard, too
        <section key={key} className="formula" aria-label={strings.formula} tabIndex={0}>
          {formula(token as Formula, 0)}
        </section>
      );
    case "html":
      return (
        <p key={key} dir="auto" className="verbatim">
          {token.raw.trim()}
        </p>
      );
    default: // blank lines and definitions inside another block
      return <Fragment key={key} />;
  }
}

/** The language's name alone, of "ts {1,3}" or "js:app.js" as well; none while its line may still grow. */
function languageOf({ lang, raw }: Tokens.Code, growing: boolean): string {
  if (growing && !raw.includes("\n")) return "";
  return /^[^\s{,:]+/.exec(lang ?? "")?.[0] ?? "";
}

function list(token: Tokens.List, key: string, growing: boolean): ReactElement {
  const mark = growing ? "growing" : undefined;
  const items = token.items.map((item, index) => (
    <li key={index} className={item.task ? "task" : undefined}>
      {item.task && (
        <input
          type="checkbox"
          checked={item.checked === true}
          disabled
          aria-label={item.checked ? strings.done : strings.notDone}
        />
      )}
      {item.tokens
        .filter((one) => one.type !== "checkbox")
        .map((one, at) =>
          one.type === "text" && !item.loose ? (
            <span key={at} dir="auto">
              {one.tokens ? inline(one.tokens) : decoded((one as Tokens.Text).text)}
            </span>
          ) : (
            block(one, growing, at)
          ),
        )}
    </li>
  ));
  return token.ordered ? (
    <ol key={key} className={mark} start={token.start === "" ? 1 : token.start} dir={directionOf(token.raw)}>
      {items}
    </ol>
  ) : (
    <ul key={key} className={mark} dir={directionOf(token.raw)}>
      {items}
    </ul>
  );
}

const FIRST_LETTER = /\p{L}/u;
const RIGHT_TO_LEFT =
  /[\p{Script=Hebrew}\p{Script=Arabic}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** The side a list, a quote or a table begins on: markers, bars and columns follow it. `dir=auto` would pass over what is inside. */
function directionOf(text: string): "rtl" | undefined {
  return RIGHT_TO_LEFT.test(FIRST_LETTER.exec(text)?.[0] ?? "") ? "rtl" : undefined;
}

function table(token: Tokens.Table, key: string): ReactElement {
  const align = (index: number) => token.align[index] ?? undefined;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table is scrolled by keyboard, too
    <section key={key} className="table" aria-label={strings.table} tabIndex={0} dir={directionOf(token.raw)}>
      <table>
        <thead>
          <tr>
            {token.header.map((cell, index) => (
              <th key={index} data-align={align(index)} dir="auto" scope="col">
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, index) => (
            <tr key={index}>
              {row.map((cell, at) => (
                <td key={at} data-align={align(at)} dir="auto">
                  {inline(cell.tokens)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function inline(tokens: readonly Token[] = []): ReactNode[] {
  return tokens.map((token, key) => {
    switch (token.type) {
      case "strong":
        return <strong key={key}>{inline(token.tokens)}</strong>;
      case "em":
        return <em key={key}>{inline(token.tokens)}</em>;
      case "del":
        return <del key={key}>{inline(token.tokens)}</del>;
      case "codespan":
        return (
          <code key={key} dir="ltr">
            {decoded((token as Tokens.Codespan).text)}
          </code>
        );
      case "br":
        return <br key={key} />;
      case "link":
        return link(token as Tokens.Link, key);
      case "image":
        return image(token as Tokens.Image, key);
      case "formula":
        return formula(token as Formula, key, (token as Formula).display ? "formula" : undefined);
      case "open":
        return <span key={key} className="formula-open" />;
      case "html":
        return /^<br\s*\/?>$/i.test(token.raw) ? <br key={key} /> : token.raw;
      case "escape":
        return (token as Tokens.Escape).text;
      default:
        return "tokens" in token && token.tokens
          ? inline(token.tokens)
          : decoded("text" in token ? String(token.text) : token.raw);
    }
  });
}

function link(token: Tokens.Link, key: number): ReactNode {
  const url = safeUrl(token.href);
  if (!url) return <span key={key}>{inline(token.tokens)}</span>;
  return (
    <a key={key} href={url.href} target="_blank" rel="noopener noreferrer nofollow" title={token.title ?? undefined}>
      {inline(token.tokens)}
    </a>
  );
}

/** Loading a picture tells its host who reads what: so it is a link, and only a click goes there. */
function image(token: Tokens.Image, key: number): ReactNode {
  const url = safeUrl(token.href);
  if (!url || url.protocol === "mailto:") {
    return (
      <span key={key} className="image">
        {strings.blockedImage(token.text)}
      </span>
    );
  }
  return (
    <a key={key} className="image" href={url.href} target="_blank" rel="noopener noreferrer nofollow">
      {strings.image(token.text, url.host)}
    </a>
  );
}

/** A formula, or its source where that is no TeX. */
function formula({ draw, raw }: Formula, key: number, className?: string): ReactElement {
  if (draw) return <span key={key} ref={draw} className={className} />;
  return (
    <code key={key} dir="ltr">
      {raw.trim()}
    </code>
  );
}

const ENTITY = /&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});/gi;

/** Character references, which the parser leaves as they are, become their characters. */
function decoded(text: string): string {
  if (!text.includes("&")) return text;
  return text.replace(ENTITY, (entity) => {
    const reader = document.createElement("textarea"); // takes text only: no markup in it comes to life
    reader.innerHTML = entity;
    return reader.value;
  });
}
