// What a screen reader is told of an answer: that it began and how it ended, not each of its words.

import { useEffect, useRef, useState } from "react";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { useMessage } from "./feed";

const SAID: Record<string, string> = {
  streaming: strings.announceStart,
  complete: strings.announceEnd,
  truncated: strings.announceEnd,
  stopped: strings.announceStopped,
  failed: strings.announceFailed,
  interrupted: strings.announceFailed,
};

/** `id` is the last message on screen. */
export function Announcer({ home, id }: { home: Home; id: string }) {
  const [said, setSaid] = useState("");
  const status = useMessage(home, id, (message) =>
    message?.role === "assistant" && message.parentId ? message.status : undefined,
  );
  const before = useRef(status);
  useEffect(() => {
    if (status === before.current) return;
    before.current = status;
    setSaid((status && SAID[status]) ?? "");
  }, [status]);
  return (
    <p className="hidden" aria-live="polite">
      {said}
    </p>
  );
}
