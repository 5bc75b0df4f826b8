// What the tabs of one browser tell each other. Only tabs of the same session hear it: what was said before a sign-out is for nobody
// after it.

/** The channel of one session; nothing is heard or said once `signal` is aborted. */
export interface Tabs {
  tell: (kind: string, value: unknown) => void;
  /** `value` is whatever the other tab's version of the page has sent: the listener checks it. */
  listen: (kind: string, heard: (value: unknown) => void) => void;
}

const NAME = "chat";

/** `session` names the session: its id, or nothing where nobody signs in. */
export function createTabs(session: string, signal: AbortSignal): Tabs {
  const listeners = new Map<string, (value: unknown) => void>();
  let channel: BroadcastChannel | null = null;
  try {
    channel = new BroadcastChannel(NAME);
  } catch {
    // Not in this browser, or not for this page: each tab knows only of itself.
  }
  const hear = ({ data }: MessageEvent) => {
    if (signal.aborted || typeof data !== "object" || data === null || data.session !== session) return;
    listeners.get(String(data.kind))?.(data.value);
  };
  channel?.addEventListener("message", hear);
  (channel as unknown as { unref?: () => void } | null)?.unref?.();
  signal.addEventListener("abort", () => channel?.close(), { once: true });
  return {
    tell: (kind, value) => {
      if (!signal.aborted) channel?.postMessage({ session, kind, value });
    },
    listen: (kind, heard) => void listeners.set(kind, heard),
  };
}
