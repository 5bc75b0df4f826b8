// A button that copies, and says for a moment that it has.

import { useEffect, useState } from "react";
import { strings } from "../strings";
import { useSay } from "./context";
import { Icon } from "./icons";

const SAID_MS = 1_600;

export function CopyButton({ text, label }: { text: () => string; label: string }) {
  const say = useSay();
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), SAID_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = () => {
    void copyText(text()).then((taken) => (taken ? setCopied(true) : say(strings.copyFailed)));
  };
  return (
    <button type="button" className="quiet" aria-label={copied ? strings.copied : label} title={label} onClick={copy}>
      <Icon name={copied ? "check" : "copy"} />
    </button>
  );
}

/** Whether the clipboard took it: a page that is not from a secure origin has none. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
