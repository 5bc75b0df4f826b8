// The API's client: one function per route, typed answers, typed errors.

import { ApiError, problemOf, Unreachable } from "./problems";
import type { AuthConfig, Bud, ChatBody, ConversationMeta, Message, Summary, TurnError } from "./types";

const PAGE = 50; // messages: some screens full, and one answer of the server

/** Where the token comes from. `renew` says whether another try with a new token is worth it. */
export interface Tokens {
  current: () => Promise<string | null>;
  renew: () => Promise<boolean>;
}

export interface ConversationPage extends Summary {
  workspaceId: string;
  messages: Message[];
  cursor?: string;
  asOf?: string;
}

/** Some messages of a conversation. `cursor` leads to older ones; changes after it are asked for with `asOf`. */
export interface Part {
  meta: ConversationMeta;
  messages: Message[];
  cursor?: string;
  asOf?: string;
}

export interface TurnState {
  turnId: string;
  status: Message["status"];
  conversationId?: string;
  durable: boolean;
}

interface Options {
  method?: string;
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  keepalive?: boolean;
}

export type Api = ReturnType<typeof createApi>;

/** `over` ends every request that is under way, and all that would follow: the session they were asked in is gone. */
export function createApi(tokens: Tokens, base = "", over?: AbortSignal) {
  async function once(path: string, options: Options, body: string | undefined): Promise<Response> {
    const headers = new Headers(options.headers);
    over?.throwIfAborted();
    const token = await tokens.current();
    over?.throwIfAborted(); // the token may be the next person's
    if (token) headers.set("authorization", `Bearer ${token}`);
    const method = options.method ?? "GET";
    if (body !== undefined) headers.set("content-type", "application/json");
    // CloudFront signs the request to the function, and takes the body's digest from whoever sends it, the empty body's too.
    const digest = method === "GET" ? null : await sha256(body ?? "");
    if (digest) headers.set("x-amz-content-sha256", digest);
    const init: RequestInit = { method, headers, cache: "no-store" };
    if (body !== undefined) init.body = body;
    const signals = [options.signal, over].filter((signal) => signal !== undefined);
    if (signals.length) init.signal = AbortSignal.any(signals);
    if (options.keepalive) init.keepalive = true;
    try {
      return await fetch(base + plainly(path), init);
    } catch (error) {
      if (signals.some((signal) => signal.aborted)) throw error;
      throw new Unreachable();
    }
  }

  /** The response when it is a success; throws ApiError, Unreachable, or AbortError. */
  async function ask(path: string, options: Options = {}): Promise<Response> {
    const body = options.body === undefined ? undefined : JSON.stringify(options.body);
    let response = await once(path, options, body);
    if (response.status === 401 && (await tokens.renew())) response = await once(path, options, body);
    if (response.ok) return response;
    const problem = await problemOf(response);
    // A gateway that answers in the server's place says nothing about the request.
    if (problem.code.startsWith("status_") && response.status >= 502) throw new Unreachable();
    throw problem;
  }

  async function json<T>(path: string, options?: Options): Promise<T> {
    const response = await ask(path, options);
    try {
      return (await response.json()) as T;
    } catch {
      throw new Unreachable();
    }
  }

  /** A turn's events; a page that stands in the server's place (a network's sign-in) is none. */
  async function events(path: string, options: Options): Promise<Response> {
    const response = await ask(path, options);
    if (!response.headers.get("content-type")?.startsWith("text/event-stream")) throw new Unreachable();
    return response;
  }

  /** All pages of a listing of messages as one. */
  async function pages(id: string, asked: Record<string, string>): Promise<ConversationPage> {
    const query = new URLSearchParams({ ...asked, limit: "500" });
    const whole = await json<ConversationPage>(`${at(id)}?${query}`);
    for (let { cursor } = whole; cursor; ) {
      query.set("cursor", cursor);
      const page = await json<ConversationPage>(`${at(id)}?${query}`);
      whole.messages.push(...page.messages);
      cursor = page.cursor;
    }
    delete whole.cursor;
    return whole;
  }

  const at = (id: string) => `/api/conversations/${encodeURIComponent(id)}`;
  return {
    config: () => json<{ version: string; auth: AuthConfig | null }>("/api/config"),
    buds: () => json<Bud[]>("/api/buds"),
    post: (conversationId: string | null, body: ChatBody, signal: AbortSignal) =>
      events(conversationId ? `/api/chat/${conversationId}` : "/api/chat", { method: "POST", body, signal }),
    stream: (turnId: string, after: number, signal: AbortSignal) =>
      events(`/api/turns/${turnId}/stream`, { headers: { "last-event-id": String(after) }, signal }),
    turn: (turnId: string) => json<TurnState>(`/api/turns/${turnId}`),
    stop: (turnId: string) => ask(`/api/turns/${turnId}/stop`, { method: "POST" }),
    list: (workspaceId: string | null, cursor: string | null) => {
      const query = new URLSearchParams({ limit: "40" });
      if (workspaceId) query.set("workspaceId", workspaceId);
      if (cursor) query.set("cursor", cursor);
      return json<{ items: Summary[]; cursor?: string }>(`/api/conversations?${query}`);
    },
    /** The newest page of a branch: of the one with the newest leaf, or of the one through a message; or the page behind a cursor. */
    newest: async (
      id: string,
      from: { through?: string | undefined; cursor?: string | undefined } = {},
    ): Promise<Part> => {
      const query = new URLSearchParams({ order: "newest", limit: String(PAGE) });
      for (const [name, value] of Object.entries(from)) if (value) query.set(name, value);
      return toPart(await json<ConversationPage>(`${at(id)}?${query}`));
    },
    /** What has changed on any branch after `since`. */
    changes: async (id: string, since: string): Promise<Part> => toPart(await pages(id, { since })),
    /** The conversation with all of its messages, however many pages they take. */
    conversation: async (id: string): Promise<Part> => toPart(await pages(id, {})),
    rename: (id: string, title: string) => json<Summary>(at(id), { method: "PATCH", body: { title } }),
    remove: (id: string, keepalive = false) => ask(at(id), { method: "DELETE", keepalive }),
    /** One document; page by page where it does not fit one answer. */
    export: async (id: string): Promise<Blob> => {
      try {
        return await (await ask(`${at(id)}/export`)).blob();
      } catch (error) {
        if (!(error instanceof ApiError) || error.status !== 413) throw error;
        const { cursor: _, asOf: __, ...document } = await pages(id, {});
        return new Blob([JSON.stringify(document)], { type: "application/json" });
      }
    },
  };
}

function toPart(page: ConversationPage): Part {
  const { title, workspaceId, budId, model, createdAt, updatedAt, cursor, asOf } = page;
  return {
    ...(cursor ? { cursor } : {}),
    ...(asOf ? { asOf } : {}),
    meta: { title, workspaceId, budId, model, createdAt, updatedAt },
    messages: page.messages.map((message) => {
      const { error, ...rest } = message as unknown as Omit<Message, "error"> & { error?: string };
      return error === undefined
        ? rest
        : { ...rest, error: { code: error, message: "", retryable: true } satisfies TurnError };
    }),
  };
}

/**
 * The path with its query percent-encoded throughout. CloudFront signs the query, and a signature reads `+` (a space, in a
 * form) and marks like `*` in another way than a form does: written like this, there is one reading.
 */
function plainly(path: string): string {
  const [before = "", ...query] = path.split("?");
  if (query.length === 0) return path;
  const marks = /[!'()*]/g;
  const encoded = query
    .join("?")
    .replace(/\+/g, "%20")
    .replace(marks, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`);
  return `${before}?${encoded}`;
}

const EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** Lower-case hex; null where the browser gives no digests (a page that is not from a secure origin). */
async function sha256(text: string): Promise<string | null> {
  if (text === "") return EMPTY_SHA256;
  if (!globalThis.crypto?.subtle) return null;
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export { ApiError, Unreachable };
