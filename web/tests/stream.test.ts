import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Api } from "../src/core/api";
import type { TurnEvent } from "../src/core/events";
import { ApiError, Unreachable } from "../src/core/problems";
import { Lost, listen, TIMING, type Wanted } from "../src/core/stream";

const START = 'id: 1\ndata: {"type":"start","turnId":"t","model":"m"}\n\n';
const token = (id: number, content: string) => `id: ${id}\ndata: ${JSON.stringify({ type: "token", content })}\n\n`;
const end = (id: number) =>
  `id: ${id}\ndata: ${JSON.stringify({ type: "complete", turnId: "t", status: "complete" })}\n\n`;

/** A server that plays one answer per request, in order: text of a stream, or an error. */
function server(...answers: (string | Error | "silent")[]) {
  const asked: string[] = [];
  const answer = (what: string, signal: AbortSignal) => {
    asked.push(what);
    const next = answers.shift();
    if (next instanceof Error) return Promise.reject(next);
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        if (next === "silent") signal.addEventListener("abort", () => controller.error(new TypeError("gone")));
        else {
          controller.enqueue(new TextEncoder().encode(next));
          controller.close();
        }
      },
    });
    return Promise.resolve(new Response(body));
  };
  const api = {
    post: (_: string | null, __: unknown, signal: AbortSignal) => answer("post", signal),
    stream: (_: string, after: number, signal: AbortSignal) => answer(`after ${after}`, signal),
  } as unknown as Api;
  return { api, asked };
}

const BODY = { turnId: "t", budId: "default", messages: [], parentId: null };
const wanted = (fields: Partial<Wanted> = {}): Wanted => ({
  turnId: "t",
  conversationId: null,
  body: BODY,
  follow: false,
  ...fields,
});

async function heard(api: Api, what: Wanted): Promise<{ events: TurnEvent[]; phases: string[] }> {
  const events: TurnEvent[] = [];
  const phases: string[] = [];
  const listening = listen(
    api,
    what,
    { onEvent: (event) => events.push(event), onPhase: (phase) => phases.push(phase), onRead: () => {} },
    new AbortController().signal,
  );
  listening.catch(() => {});
  await vi.runAllTimersAsync();
  await listening;
  return { events, phases };
}
const text = (events: TurnEvent[]) => events.map((event) => (event.type === "token" ? event.content : "")).join("");

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it("reads a turn to its end", async () => {
  const { api, asked } = server(START + token(2, "Hi") + end(3));
  const { events } = await heard(api, wanted());
  expect(events.map((event) => event.type)).toEqual(["start", "token", "complete"]);
  expect(asked).toEqual(["post"]);
});

it("says that a message has not arrived yet, apart from an answer that is lost sight of", async () => {
  const { api } = server(new Unreachable(), START, end(2));
  expect((await heard(api, wanted())).phases).toEqual(["sending", "unsent", "streaming", "reconnecting", "streaming"]);
});

it("resumes after the last event it saw, and tells none twice", async () => {
  const { api, asked } = server(START + token(2, "Hel"), token(2, "Hel") + token(3, "lo"), new Unreachable(), end(4));
  const { events, phases } = await heard(api, wanted());
  expect(text(events)).toBe("Hello");
  expect(asked).toEqual(["post", "after 2", "after 3", "after 3"]);
  expect(phases).toContain("reconnecting");
});

it("posts again what never reached the server", async () => {
  const { api, asked } = server(new Unreachable(), new Unreachable(), START + end(2));
  await heard(api, wanted());
  expect(asked).toEqual(["post", "post", "post"]);
});

it("looks again for a turn that is not known yet", async () => {
  const unknown = () => new ApiError(404, "not_found", "");
  const { api, asked } = server(unknown(), unknown(), START + end(2));
  await heard(api, wanted({ follow: true, body: null }));
  expect(asked).toEqual(["after 0", "after 0", "after 0"]);
});

it("begins a turn the server never heard of, if it can", async () => {
  const unknown = () => new ApiError(404, "not_found", "");
  const { api, asked } = server(unknown(), unknown(), unknown(), unknown(), START + end(2));
  await heard(api, wanted({ follow: true }));
  expect(asked.at(-1)).toBe("post");
});

it("gives up on a turn that is unknown and that it cannot begin", async () => {
  const unknown = () => new ApiError(404, "not_found", "");
  const { api } = server(unknown(), unknown(), unknown(), unknown());
  await expect(heard(api, wanted({ follow: true, body: null }))).rejects.toBeInstanceOf(Lost);
});

it("says a refusal at once, and a server in trouble after some tries", async () => {
  const refused = server(new ApiError(413, "too_large", ""));
  await expect(heard(refused.api, wanted())).rejects.toMatchObject({ error: { code: "too_large" } });
  const down = () => new ApiError(503, "unavailable", "");
  const troubled = server(...Array.from({ length: 6 }, down));
  await expect(heard(troubled.api, wanted())).rejects.toMatchObject({ error: { code: "unavailable" } });
  expect(troubled.asked).toHaveLength(6);
});

it("asks after a turn that has begun for as long as the server is in trouble", async () => {
  const down = () => new ApiError(503, "unavailable", "");
  const { api, asked } = server(START + token(2, "Hel"), ...Array.from({ length: 20 }, down), token(3, "lo") + end(4));
  const { events } = await heard(api, wanted());
  expect(text(events)).toBe("Hello");
  expect(asked).toHaveLength(22);
});

it("leaves a connection that has gone silent, and says so before", async () => {
  const { api, asked } = server("silent", START + end(2));
  const { phases } = await heard(api, wanted());
  expect(asked).toEqual(["post", "after 0"]);
  expect(phases).toEqual(expect.arrayContaining(["quiet", "reconnecting"]));
  expect(TIMING.quietMs).toBeLessThan(TIMING.deadMs);
});
