// A block of code: shown as plain text at once, coloured as soon as the highlighter is there.

import type { Element, Root, Text } from "hast";
import { memo, type ReactNode, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { CopyButton } from "./CopyButton";

type Highlighted = { code: string; tree: Root };
const AFTER_MS = 120; // while a block grows it is coloured a few times a second, and what came since is plain
const LONGEST = 40_000;

export const CodeBlock = memo(function CodeBlock({
  code,
  language,
  growing,
}: {
  code: string;
  language: string;
  growing: boolean;
}) {
  const [coloured, setColoured] = useState<Highlighted | null>(null);
  const latest = useRef(code);
  latest.current = code;
  const timer = useRef<ReturnType<typeof setTimeout> | null>(null);
  useEffect(() => {
    if (!language || code.length > LONGEST || timer.current !== null) return;
    timer.current = setTimeout(
      async () => {
        const { highlight } = await import("./highlight");
        timer.current = null;
        const tree = highlight(language, latest.current);
        if (tree) setColoured({ code: latest.current, tree });
      },
      growing ? AFTER_MS : 0,
    );
  }, [code, language, growing]);
  useEffect(
    () => () => {
      if (timer.current !== null) clearTimeout(timer.current);
      timer.current = null;
    },
    [],
  );
  const known = coloured && code.startsWith(coloured.code) ? coloured : null;
  return (
    <figure className="code" dir="ltr">
      <figcaption>
        <span>{language}</span>
        <CopyButton text={() => code} label={strings.copyCode} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: wide code is scrolled by keyboard, too */}
      <pre tabIndex={0}>
        <code>
          {known ? nodes(known.tree.children) : null}
          {known ? code.slice(known.code.length) : code}
        </code>
      </pre>
    </figure>
  );
});

function nodes(children: readonly (Root["children"][number] | Element["children"][number])[]): ReactNode[] {
  return children.map((node, key) => {
    if (node.type === "text") return (node as Text).value;
    if (node.type !== "element") return null;
    const names = node.properties.className;
    return (
      <span key={key} className={Array.isArray(names) ? names.join(" ") : undefined}>
        {nodes(node.children)}
      </span>
    );
  });
}
