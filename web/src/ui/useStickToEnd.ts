// Keeps the end of a chat in view while it grows, unless the reader has scrolled away from it.

import { type RefObject, useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";

const NEAR_PX = 48;

export function useStickToEnd(scroller: RefObject<HTMLElement | null>, content: RefObject<HTMLElement | null>) {
  const stuck = useRef(true);
  const [away, setAway] = useState(false);
  const toEnd = useCallback(() => {
    stuck.current = true;
    const element = scroller.current;
    if (element) element.scrollTop = element.scrollHeight;
    setAway(false);
  }, [scroller]);

  /** What the reader turns to is elsewhere, and growth must not take it out of view. */
  const letGo = useCallback(() => {
    stuck.current = false;
  }, []);

  useLayoutEffect(toEnd, [toEnd]);
  useEffect(() => {
    const element = scroller.current;
    const inner = content.current;
    if (!element || !inner) return;
    let height = element.scrollHeight;
    const onScroll = () => {
      // Growth alone fires no decision: only the reader's own scrolling does.
      const distance = element.scrollHeight - element.scrollTop - element.clientHeight;
      if (element.scrollHeight === height || distance < NEAR_PX) stuck.current = distance < NEAR_PX;
      height = element.scrollHeight;
      setAway(!stuck.current);
    };
    const grown = new ResizeObserver(() => {
      if (stuck.current) element.scrollTop = element.scrollHeight;
      height = element.scrollHeight;
    });
    element.addEventListener("scroll", onScroll, { passive: true });
    grown.observe(inner);
    grown.observe(element);
    return () => {
      element.removeEventListener("scroll", onScroll);
      grown.disconnect();
    };
  }, [scroller, content]);
  return { away, toEnd, letGo };
}

/** What is on screen stays where it is when earlier messages come in above it. */
export function useKeepPlace(scroller: RefObject<HTMLElement | null>, ids: readonly string[]): void {
  const before = useRef<{ id: string; top: number } | null>(null);
  const scrolled = useRef(0);
  useEffect(() => {
    const element = scroller.current;
    const note = () => {
      scrolled.current = element?.scrollTop ?? 0;
    };
    element?.addEventListener("scroll", note, { passive: true });
    return () => element?.removeEventListener("scroll", note);
  }, [scroller]);
  useLayoutEffect(() => {
    const element = scroller.current;
    const row = (id: string) => element?.querySelector<HTMLElement>(`[data-message="${CSS.escape(id)}"]`);
    const first = ids[0];
    const last = before.current;
    const moved = last && last.id !== first ? row(last.id) : null;
    if (element && last && moved) {
      // Measured against what was on screen: a browser that keeps the place by itself has done it by now, or has not.
      const shift = moved.offsetTop - element.scrollTop - (last.top - scrolled.current);
      if (shift) element.scrollTop += shift;
      scrolled.current = element.scrollTop;
    }
    const now = first === undefined ? null : row(first);
    before.current = first !== undefined && now ? { id: first, top: now.offsetTop } : null;
  }, [scroller, ids]);
}
