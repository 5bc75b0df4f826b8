// The way to the messages above the first one here: taken by itself as the reader comes near, or by its button.

import { type RefObject, useCallback, useEffect, useRef, useState } from "react";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { useChat, useClient } from "./context";

const NEAR = "800px 0px 0px 0px"; // some screens before the reader is there

export function Earlier({ home, scroller }: { home: Home; scroller: RefObject<HTMLElement | null> }) {
  const client = useClient();
  const isThere = useChat(home, (chat) => chat?.older?.cursor !== undefined);
  const [state, setState] = useState<"waiting" | "loading" | "failed">("waiting");
  const row = useRef<HTMLLIElement>(null);
  const load = useCallback(async () => {
    setState("loading");
    try {
      await client.older(home.id);
    } catch {
      setState("failed");
    }
  }, [client, home.id]);
  useEffect(() => {
    if (!isThere || !row.current) return;
    const near = new IntersectionObserver(
      (entries) => {
        if (!entries.some((entry) => entry.isIntersecting)) return;
        near.disconnect(); // what failed is tried again by the button
        void load();
      },
      { root: scroller.current, rootMargin: NEAR },
    );
    near.observe(row.current);
    return () => near.disconnect();
  }, [isThere, load, scroller]);
  if (!isThere) return null;
  const text = { waiting: strings.earlierMessages, loading: strings.loadingEarlier, failed: strings.earlierFailed };
  return (
    <li className="earlier" ref={row}>
      <button type="button" className="plain" aria-disabled={state === "loading"} onClick={() => void load()}>
        {text[state]}
      </button>
    </li>
  );
}
