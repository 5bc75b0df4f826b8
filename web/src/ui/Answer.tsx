// The words of an answer. This is the one component that a token renders again.

import { useRef } from "react";
import { useStore } from "zustand";
import { loaded, StreamedMarkdown } from "../core/markdown";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { useMessage } from "./feed";
import { Icon } from "./icons";
import { renderBlocks } from "./markdown";

export function AnswerText({ home, id }: { home: Home; id: string }) {
  const content = useMessage(home, id, (message) => message?.content ?? "");
  const streaming = useMessage(home, id, (message) => message?.status === "streaming");
  const parser = useRef<StreamedMarkdown | null>(null);
  useStore(loaded); // what a part that is loaded later makes of the words is shown then
  parser.current ??= new StreamedMarkdown();
  return <div className="prose">{renderBlocks(parser.current.parse(content, streaming), streaming)}</div>;
}

export function Reasoning({ home, id }: { home: Home; id: string }) {
  const reasoning = useMessage(home, id, (message) => message?.reasoning ?? "");
  const thinking = useMessage(home, id, (message) => message?.status === "streaming" && !message.content);
  if (!reasoning) return null;
  return (
    <details className="reasoning">
      <summary>
        <Icon name="right" />
        <span className={thinking ? "pulse" : undefined}>{thinking ? strings.thinking : strings.reasoning}</span>
      </summary>
      <p dir="auto">{reasoning}</p>
    </details>
  );
}
