// How a request fails: the server said no (ApiError), or it was not reached (Unreachable).

import type { TurnError } from "./types";

/** The server's own answer, RFC 9457; `code` is one of docs/api.md's. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly retryAfterS: number | null = null,
  ) {
    super(`${status} ${code}`);
  }

  /** Whether the same request may succeed later. */
  get retryable(): boolean {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }

  /** The error of a turn that was answered so. */
  asTurnError(): TurnError {
    const { code, retryable, retryAfterS } = this;
    const retryAt = retryAfterS === null ? {} : { retryAt: new Date(Date.now() + 1_000 * retryAfterS).toISOString() };
    return { code, message: "", retryable, ...retryAt };
  }
}

/** No answer: the network, or whatever stands in the server's place, is in the way. */
export class Unreachable extends Error {}

/** What a firewall or a gateway means by a status, when it answers with a page of its own. */
const CODES: Record<number, string> = { 403: "blocked", 413: "too_large", 429: "rate_limited" };

/** The error a response says, whatever its body; for one that is no problem document `code` is made from the status. */
export async function problemOf(response: Response): Promise<ApiError> {
  const retryAfter = Number(response.headers.get("retry-after") ?? "");
  const body: unknown = await response.json().catch(() => null);
  const known = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const text = (name: string) => (typeof known[name] === "string" ? known[name] : "");
  return new ApiError(
    response.status,
    text("code") || CODES[response.status] || `status_${response.status}`,
    text("detail") || text("title"),
    Number.isFinite(retryAfter) && retryAfter > 0 ? retryAfter : null,
  );
}
