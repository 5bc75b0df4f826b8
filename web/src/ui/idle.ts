// The moment when the page has nothing else to do.

const LATEST_MS = 2_000;

/** Calls once the browser is idle, or soon in one that does not say when it is; returns how to call it off. */
export function whenIdle(act: () => void): () => void {
  if (!("requestIdleCallback" in window)) {
    const timer = setTimeout(act, LATEST_MS / 4);
    return () => clearTimeout(timer);
  }
  const asked = window.requestIdleCallback(act, { timeout: LATEST_MS });
  return () => window.cancelIdleCallback(asked);
}
