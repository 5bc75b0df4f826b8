// A turn's events from its beginning to its end, over as many connections as that takes.

import type { Api } from "./api";
import { Cadence } from "./cadence";
import { parseEvent, type TurnEvent } from "./events";
import { backoff, isOffline, pause } from "./pause";
import { ApiError, Unreachable } from "./problems";
import { SseDecoder } from "./sse";
import type { ChatBody } from "./types";

/** How the way to the server is: `sending` until it answers, `unsent` when it did not, `quiet` when it is there but the model says nothing. */
export type Phase = "sending" | "unsent" | "streaming" | "quiet" | "reconnecting" | "offline";

/** What is asked for: a turn to begin (`body`), or one to follow. A turn to follow may have a body to begin it with if it is unknown. */
export interface Wanted {
  turnId: string;
  conversationId: string | null;
  body: ChatBody | null;
  follow: boolean;
}

export interface Ear {
  onEvent: (event: TurnEvent) => void;
  onPhase: (phase: Phase) => void;
  /** Everything that had come so far has been told. */
  onRead: () => void;
}

/** The turn cannot be followed to its end; `error` is what the server said, null when the turn is unknown to it. */
export class Lost extends Error {
  constructor(readonly error: ApiError | null) {
    super(error?.code ?? "unknown turn");
  }
}

export const TIMING = { quietMs: 8_000, deadMs: 25_000, lookMs: 1_000 };
const UNKNOWN_TRIES = 4; // the claim of a turn is written beside the model call, so it may be looked for too early
const REFUSED_TRIES = 6; // some ten seconds: a server that restarts is back by then

/**
 * Tells `ear` every event once, up to and with the terminal one. Throws Lost, or the signal's reason. `isCut` says that the server is
 * known to be out of reach: a connection that still stands then is given up without waiting for its end.
 */
export async function listen(
  api: Api,
  wanted: Wanted,
  ear: Ear,
  signal: AbortSignal,
  isCut: () => boolean = () => false,
): Promise<void> {
  let follow = wanted.follow;
  let after = 0;
  const tries = { any: 0, unknown: 0, refused: 0 };
  ear.onPhase("sending");
  for (;;) {
    try {
      const ended = await connect(
        (inner) =>
          follow || !wanted.body
            ? api.stream(wanted.turnId, after, inner)
            : api.post(wanted.conversationId, wanted.body, inner),
        {
          ...ear,
          onPhase: (phase) => {
            follow = true;
            ear.onPhase(phase);
          },
          onMessage: (id, event) => {
            if (id <= after) return false;
            after = id;
            tries.any = tries.refused = 0;
            ear.onEvent(event);
            return event.type === "complete" || event.type === "error";
          },
        },
        signal,
        isCut,
      );
      if (ended) return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ApiError) {
        if (error.status === 404 && follow) {
          if (++tries.unknown >= UNKNOWN_TRIES) {
            if (!wanted.body || after > 0) throw new Lost(null);
            follow = false; // never heard of there: begin it; the server makes one turn of both if it does know it
            tries.unknown = 0;
            continue;
          }
        } else if (!error.retryable || error.status === 429) throw new Lost(error);
        // A turn that has begun goes on, whatever stands between: it is asked after until it is heard of.
        else if (!follow && ++tries.refused >= REFUSED_TRIES) throw new Lost(error);
      } else if (!(error instanceof Unreachable)) throw error;
    }
    ear.onPhase(isOffline() ? "offline" : follow ? "reconnecting" : "unsent");
    await pause(backoff(tries.any++), signal);
  }
}

interface Reading extends Ear {
  /** Returns whether this was the last event. */
  onMessage: (id: number, event: TurnEvent) => boolean;
}

/** Reads one response to its end; returns whether the turn's last event was in it. Throws ApiError or Unreachable. */
async function connect(
  ask: (signal: AbortSignal) => Promise<Response>,
  reading: Reading,
  signal: AbortSignal,
  isCut: () => boolean,
): Promise<boolean> {
  const connection = new AbortController();
  const leave = () => connection.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  let heard = Date.now();
  let spoke = heard;
  let phase: Phase = "sending";
  const become = (next: Phase) => {
    if (phase === next) return;
    phase = next;
    reading.onPhase(next);
  };
  const watch = setInterval(() => {
    const now = Date.now();
    if (now - heard > TIMING.deadMs || isCut()) connection.abort();
    else if (phase !== "sending" && now - spoke > TIMING.quietMs) become("quiet");
  }, TIMING.lookMs);
  try {
    const response = await ask(connection.signal);
    heard = spoke = Date.now();
    become("streaming");
    const reader = response.body?.getReader();
    const decoder = new SseDecoder();
    const cadence = new Cadence();
    while (reader) {
      const { done, value } = await reader.read();
      if (done) break;
      heard = Date.now();
      let ended = false;
      // Not a read per chunk: while nobody reads, the browser collects what comes without waking the page.
      await cadence.show(() => {
        for (const message of decoder.feed(value)) {
          const event = parseEvent(message.data);
          if (!event) continue;
          spoke = heard;
          become("streaming");
          ended = reading.onMessage(Number(message.id), event);
          if (ended) return;
        }
        reading.onRead();
      });
      if (ended) return true;
      await pause(cadence.waitMs, connection.signal);
    }
    return false;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApiError) throw error;
    if (error instanceof Unreachable || error instanceof TypeError || connection.signal.aborted)
      throw new Unreachable();
    throw error;
  } finally {
    clearInterval(watch);
    signal.removeEventListener("abort", leave);
    connection.abort();
  }
}
