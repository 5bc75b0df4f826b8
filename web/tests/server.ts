// An API on a real socket that answers what a test tells it, and remembers what it was asked.

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TurnEvent } from "../src/core/events";
import type { ChatBody } from "../src/core/types";

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  body: ChatBody | null;
  headers: IncomingHttpHeaders;
  /** The body as it came. */
  raw: Buffer;
}

type Answer = (response: ServerResponse, asked: Asked) => void;

export interface Server {
  url: string;
  asked: Asked[];
  /** Answers every request whose "METHOD /path" matches from here on; the latest told comes first. */
  answers: (request: RegExp, answer: Answer) => void;
  /** The turns that were begun. */
  posts: () => ChatBody[];
  close: () => Promise<void>;
}

export async function startServer(): Promise<Server> {
  const asked: Asked[] = [];
  const rules: { request: RegExp; answer: Answer }[] = [];
  const server = createServer(async (request, response) => {
    const path = (request.url ?? "").replace(/\?.*/, "");
    const raw = await bodyOf(request);
    const body = raw.length ? (JSON.parse(raw.toString()) as ChatBody) : null;
    const query = new URLSearchParams((request.url ?? "").split("?")[1]);
    const one: Asked = { method: request.method ?? "", path, query, body, headers: request.headers, raw };
    asked.push(one);
    const rule = rules.find((known) => known.request.test(`${one.method} ${path}`));
    if (rule) rule.answer(response, one);
    else problem(404, "not_found")(response, one);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    answers: (request, answer) => rules.unshift({ request, answer }),
    posts: () => asked.filter((one) => one.path.startsWith("/api/chat")).flatMap((one) => one.body ?? []),
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

export const json =
  (value: unknown): Answer =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(value));
  };

export const problem =
  (status: number, code: string): Answer =>
  (response) => {
    response.writeHead(status, { "content-type": "application/problem+json" });
    response.end(JSON.stringify({ type: "about:blank", title: code, status, code }));
  };

/** No answer at all: the connection ends. */
export const cut: Answer = (response) => {
  response.destroy();
};

/** A stream of these events, ended after the last. */
export const streams =
  (events: (asked: Asked) => TurnEvent[]): Answer =>
  (response, asked) => {
    response.writeHead(200, { "content-type": "text/event-stream" });
    events(asked).forEach((event, index) => {
      response.write(`id: ${index + 1}\ndata: ${JSON.stringify(event)}\n\n`);
    });
    response.end();
  };
