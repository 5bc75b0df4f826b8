import { describe, expect, it } from "vitest";
import file from "../../tests/vectors/sse.json";
import { SseDecoder, type SseMessage } from "../src/core/sse";

const decode = (chunks: Uint8Array[]): SseMessage[] => {
  const decoder = new SseDecoder();
  return chunks.flatMap((chunk) => decoder.feed(chunk));
};

describe("the SSE decoder reads the vectors the Python side reads", () => {
  it.each(file.vectors)("$name, whole, cut in two, and byte by byte", ({ stream, messages }) => {
    const raw = new TextEncoder().encode(stream);
    for (let cut = 0; cut <= raw.length; cut++) expect(decode([raw.slice(0, cut), raw.slice(cut)])).toEqual(messages);
    expect(decode(Array.from(raw, (byte) => Uint8Array.of(byte)))).toEqual(messages);
  });
});
