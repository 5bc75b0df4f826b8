// Whether the server is out of reach. A browser that calls itself offline gives a hint: the server may be on this very machine, or
// behind a network that the browser does not know of. So it is asked.

import { createStore } from "zustand/vanilla";
import { isOffline, pause } from "./pause";

const ASK_MS = 4_000;

export type Reach = ReturnType<typeof createReach>;

/** Looks whenever the browser says that it is offline, and then until the server answers or the browser says otherwise. */
export function createReach(over: AbortSignal) {
  const store = createStore<{ isCut: boolean }>()(() => ({ isCut: false }));
  let looking = false;

  async function answers(): Promise<boolean> {
    try {
      const signal = AbortSignal.any([over, AbortSignal.timeout(ASK_MS)]);
      return (await fetch("/api/health", { cache: "no-store", signal })).ok;
    } catch {
      return false;
    }
  }

  async function look(): Promise<void> {
    if (looking) return;
    looking = true;
    while (isOffline() && !over.aborted && !(await answers())) {
      store.setState({ isCut: isOffline() });
      await pause(ASK_MS);
    }
    looking = false;
    store.setState({ isCut: false });
  }

  globalThis.addEventListener?.("offline", () => void look(), { signal: over });
  globalThis.addEventListener?.("online", () => store.setState({ isCut: false }), { signal: over });
  if (isOffline()) void look();
  return { store, isCut: () => store.getState().isCut };
}
