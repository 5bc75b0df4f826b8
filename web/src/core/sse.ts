// Server-sent events, read exactly: bytes in, messages out, whatever the cuts between them.
//
// The grammar is the HTML standard's (section 9.2.6). The Python side reads the same vectors: tests/vectors/sse.json.

/** One dispatched event: its data, its `event` type if named, and the last `id` seen so far. */
export interface SseMessage {
  data: string;
  event: string | null;
  id: string | null;
}

/** A message grew past the limit without ending. */
export class SseOverflow extends Error {}

const MAX_CHARS = 4 * 1024 * 1024;

export class SseDecoder {
  // Keeps a character cut in two until the rest of it comes, and drops a byte order mark.
  private readonly text = new TextDecoder("utf-8");
  private rest = "";
  private afterCr = false;
  private lastId: string | null = null;

  /** The messages completed by `chunk`, in order. Throws SseOverflow. */
  feed(chunk: Uint8Array): SseMessage[] {
    let text = this.text.decode(chunk, { stream: true });
    if (!text) return [];
    if (this.afterCr && text.startsWith("\n")) text = text.slice(1);
    this.afterCr = text.endsWith("\r");
    if (text.includes("\r")) text = text.replace(/\r\n?/g, "\n");
    const buffer = this.rest + text;
    const end = buffer.lastIndexOf("\n\n");
    if (end < 0) {
      // A blank line may also be the very first line of the stream.
      this.rest = buffer.startsWith("\n") ? buffer.replace(/^\n+/, "") : buffer;
      if (this.rest.length > MAX_CHARS) throw new SseOverflow();
      return [];
    }
    this.rest = buffer.slice(end + 2);
    return buffer
      .slice(0, end)
      .split("\n\n")
      .map((block) => this.message(block))
      .filter((message) => message !== null);
  }

  private message(block: string): SseMessage | null {
    const data: string[] = [];
    let event: string | null = null;
    for (const line of block.split("\n")) {
      const colon = line.indexOf(":");
      const name = colon < 0 ? line : line.slice(0, colon);
      const value = colon < 0 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
      if (name === "data") data.push(value);
      else if (name === "event") event = value || null;
      else if (name === "id" && !value.includes("\0")) this.lastId = value;
    }
    return data.length > 0 ? { data: data.join("\n"), event, id: this.lastId } : null;
  }
}
