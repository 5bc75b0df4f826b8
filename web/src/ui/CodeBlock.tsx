// A block of code: shown as plain text at once, coloured as soon as its colours are there.

import { memo, type ReactElement } from "react";
import { strings } from "../strings";
import { CopyButton } from "./CopyButton";
import { useColours } from "./colours";
import type { Piece } from "./highlight";

export const CodeBlock = memo(function CodeBlock({
  code,
  language,
  growing,
}: {
  code: string;
  language: string;
  growing: boolean;
}) {
  const coloured = useColours(code, language, growing);
  return (
    <figure className="code" dir="ltr">
      <figcaption>
        <span>{language}</span>
        <CopyButton text={() => code} label={strings.copyCode} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide code is scrolled by keyboard, too */}
      <pre tabIndex={0}>
        <code>
          {coloured.lines.map(line)}
          {code.slice(coloured.text.length)}
        </code>
      </pre>
    </figure>
  );
});

// A line that is the same object again is not rendered again.
const made = new WeakMap<Piece[], ReactElement>();

function line(pieces: Piece[], index: number): ReactElement {
  const known = made.get(pieces);
  if (known) return known;
  const element = (
    <span key={index}>
      {pieces.map(([classes, text], key) =>
        classes ? (
          <span key={key} className={classes}>
            {text}
          </span>
        ) : (
          text
        ),
      )}
    </span>
  );
  made.set(pieces, element);
  return element;
}
