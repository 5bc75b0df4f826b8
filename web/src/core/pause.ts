// Waiting between attempts: longer each time, never in step with other clients, and over at once when the network is back.

const FIRST_MS = 300;
const LONGEST_MS = 8_000;

/** Milliseconds before attempt `attempt` (from 0): doubling, with up to half of it taken off at random. */
export function backoff(attempt: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt) * (1 - random() / 2);
}

/** Returns after `ms`, or when the browser is online again; throws when aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      clearTimeout(timer);
      globalThis.removeEventListener?.("online", done);
      signal?.removeEventListener("abort", aborted);
    };
    const done = () => {
      end();
      resolve();
    };
    const aborted = () => {
      end();
      reject(signal?.reason);
    };
    const timer = setTimeout(done, ms);
    globalThis.addEventListener?.("online", done);
    signal?.addEventListener("abort", aborted);
    if (signal?.aborted) aborted();
  });
}

/** What the browser believes. It may be wrong: a server on this machine, or one behind a network it does not know of, still answers. */
export const isOffline = () => globalThis.navigator?.onLine === false;

/**
 * Pauses after attempt `attempt` and returns the next one's number. What was tried while the browser is offline does not count, unless
 * the server was `reached`: then it is not.
 */
export async function nextAttempt(attempt: number, reached: boolean): Promise<number> {
  const counts = reached || !isOffline();
  await pause(counts ? backoff(attempt) : LONGEST_MS);
  return counts ? attempt + 1 : attempt;
}
