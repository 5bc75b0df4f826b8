// The highlighter and its languages: code in, lines of coloured pieces out. The page leaves this to a worker.

import type { ElementContent, Root } from "hast";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import dockerfile from "highlight.js/lib/languages/dockerfile";
import go from "highlight.js/lib/languages/go";
import ini from "highlight.js/lib/languages/ini";
import java from "highlight.js/lib/languages/java";
import javascript from "highlight.js/lib/languages/javascript";
import json from "highlight.js/lib/languages/json";
import kotlin from "highlight.js/lib/languages/kotlin";
import markdown from "highlight.js/lib/languages/markdown";
import php from "highlight.js/lib/languages/php";
import python from "highlight.js/lib/languages/python";
import ruby from "highlight.js/lib/languages/ruby";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import swift from "highlight.js/lib/languages/swift";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";
import { createLowlight } from "lowlight";

// biome-ignore format: a list of names
const lowlight = createLowlight({
  bash, c, cpp, csharp, css, diff, dockerfile, go, ini, java, javascript, json, kotlin, markdown, php, python, ruby, rust, sql,
  swift, typescript, xml, yaml,
});

/** A piece of a line: its classes, and its text. The last piece of every line but the last ends with the line's break. */
export type Piece = readonly [classes: string, text: string];

/** The code as lines; null for a language not known here. */
export function highlight(language: string, code: string): Piece[][] | null {
  const name = language.toLowerCase();
  if (!lowlight.registered(name)) return null;
  const lines: Piece[][] = [[]];
  collect(lowlight.highlight(name, code).children, "", lines);
  return lines;
}

function collect(
  nodes: readonly (Root["children"][number] | ElementContent)[],
  classes: string,
  lines: Piece[][],
): void {
  for (const node of nodes) {
    if (node.type === "element") {
      const names = node.properties.className;
      collect(node.children, [classes, ...(Array.isArray(names) ? names : [])].join(" ").trim(), lines);
    } else if (node.type === "text") {
      for (const text of node.value.split(/(?<=\n)/)) {
        lines.at(-1)?.push([classes, text]);
        if (text.endsWith("\n")) lines.push([]);
      }
    }
  }
}
