// What a screen reader is told of an answer: that it began and how it ended, not each of its words.

import { useEffect, useRef, useState } from "react";
import type { Home } from "../core/turns";
import { strings } from "../strings";

const SAID: Record<string, string> = {
  streaming: strings.announceStart,
  complete: strings.announceEnd,
  truncated: strings.announceEnd,
  stopped: strings.announceStopped,
  failed: strings.announceFailed,
  interrupted: strings.announceFailed,
};

export function Announcer({ home, status }: { home: Home; status: (home: Home) => string | undefined }) {
  const [said, setSaid] = useState("");
  const before = useRef(status(home));
  useEffect(() => {
    const look = () => {
      const now = status(home);
      if (now === before.current) return;
      before.current = now;
      setSaid((now && SAID[now]) ?? "");
    };
    return home.chats.subscribe(look);
  }, [home, status]);
  return (
    <p className="hidden" aria-live="polite">
      {said}
    </p>
  );
}
