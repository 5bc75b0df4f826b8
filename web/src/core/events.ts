// The events of a turn, as they come over the wire (docs/api.md, "Sending a message").

import type { Usage } from "./types";

export type TurnEvent =
  | { type: "start"; turnId: string; model: string }
  | { type: "token"; content: string }
  | { type: "reasoning"; content: string }
  | { type: "conversationCreated"; conversationId: string }
  | { type: "persistPending"; turnId: string }
  | { type: "error"; code: string; message: string; retryable: boolean; partial: boolean }
  | {
      type: "complete";
      turnId: string;
      conversationId: string | null;
      finishReason: string | null;
      status: "complete" | "stopped" | "truncated";
      usage: Usage | null;
      durable: boolean;
    };

const TYPES = new Set(["start", "token", "reasoning", "conversationCreated", "persistPending", "error", "complete"]);

/** The event a message holds; null for one this client does not know, which a newer server may send. */
export function parseEvent(data: string): TurnEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null || !("type" in value)) return null;
  return typeof value.type === "string" && TYPES.has(value.type) ? (value as TurnEvent) : null;
}
