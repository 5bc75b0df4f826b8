// The way to the messages above the first one here: taken by itself as the reader comes near, or by its button.

import { type RefObject, useCallback, useEffect, useRef, useState } from "react";
import type { Home } from "../core/turns";
import { strings } from "../strings";
import { useChat, useClient } from "./context";
import { isShortcut } from "./keys";

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
  usePrintWhole(home, isThere);
  if (!isThere) return null;
  const text = { waiting: strings.earlierMessages, loading: strings.loadingEarlier, failed: strings.earlierFailed };
  return (
    <li className="earlier" ref={row}>
      <button type="button" className="plain" aria-disabled={state === "loading"} onClick={() => void load()}>
        {text[state]}
      </button>
      <p className="paper-only">{strings.notPrinted}</p>
    </li>
  );
}

/** A chat is printed from its first message on. The browser's menu waits for nothing: there, it is whole the next time. */
function usePrintWhole(home: Home, isPart: boolean): void {
  const client = useClient();
  useEffect(() => {
    if (!isPart) return;
    const readAll = async () => {
      const hasMore = () => home.chats.getState().conversations[home.id]?.older?.cursor;
      for (let cursor = hasMore(); cursor; cursor = hasMore()) {
        await client.older(home.id);
        if (hasMore() === cursor) return; // another branch is on screen meanwhile
      }
    };
    const onKeyDown = (event: KeyboardEvent) => {
      if (!isShortcut(event, "p") || event.repeat) return;
      event.preventDefault();
      const print = () => setTimeout(() => window.print()); // what was read is in the page by then
      void readAll().then(print, print); // what could not be read is told of on the paper
    };
    const onMenu = () => void readAll().catch(() => undefined);
    window.addEventListener("keydown", onKeyDown);
    window.addEventListener("beforeprint", onMenu);
    return () => {
      window.removeEventListener("keydown", onKeyDown);
      window.removeEventListener("beforeprint", onMenu);
    };
  }, [client, home, isPart]);
}
