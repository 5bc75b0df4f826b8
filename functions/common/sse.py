"""Server-sent events, read exactly: bytes in, messages out, whatever the cuts between them.

The grammar is the HTML standard's (section 9.2.6, "Interpreting an event stream"): lines end in CRLF, LF or CR and in nothing
else, so U+2028 or U+0085 inside a message stay text. Bytes are split before they are decoded, so a cut inside a character is
harmless.
"""

from typing import Final, NamedTuple

_BOM: Final = b"\xef\xbb\xbf"
MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024


class Message(NamedTuple):
    """One dispatched event: its data, its `event` type if named, and the last `id` seen so far."""

    data: bytes
    event: str | None = None
    id: str | None = None


class SSEOverflow(ValueError):
    """A message grew past MAX_MESSAGE_BYTES without ending."""


class SSEDecoder:
    """Feed it chunks as they arrive; each call returns the messages that became whole."""

    def __init__(self) -> None:
        self._buffer = b""
        self._begun = False
        self._after_cr = False
        self._last_id: str | None = None

    def feed(self, chunk: bytes) -> list[Message]:
        """The messages completed by `chunk`, in order. Raises SSEOverflow."""
        if not chunk:
            return []
        if (  # one whole message: how nearly every read looks
            chunk.find(b"\n") == len(chunk) - 2
            and chunk.startswith(b"data: ")
            and chunk[-1] == 0x0A
            and b"\r" not in chunk
            and self._begun
            and not (self._buffer or self._after_cr)
        ):
            return [Message(chunk[6:-2], None, self._last_id)]
        if self._after_cr and chunk[0] == 0x0A:
            chunk = chunk[1:]
            self._after_cr = False
            if not chunk:
                return []
        self._after_cr = chunk[-1] == 0x0D
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        buffer = self._buffer + chunk
        if not self._begun:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._begun = True
            buffer = buffer.removeprefix(_BOM)
        end = buffer.rfind(b"\n\n", max(0, len(self._buffer) - 1))  # before that there is none
        # A blank line may also be the very first line of the stream.
        if end < 0 and not buffer.startswith(b"\n"):
            if len(buffer) > MAX_MESSAGE_BYTES:
                raise SSEOverflow
            self._buffer = buffer
            return []
        whole, self._buffer = (buffer[:end], buffer[end + 2 :]) if end >= 0 else (b"", buffer.lstrip(b"\n"))
        return [message for block in whole.split(b"\n\n") if (message := self._message(block)) is not None]

    def _message(self, block: bytes) -> Message | None:
        if block.startswith(b"data: ") and b"\n" not in block:  # how nearly every message looks
            return Message(block[6:], None, self._last_id)
        data: list[bytes] = []
        event: str | None = None
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event":
                event = value.decode(errors="replace") or None
            elif name == b"id" and b"\0" not in value:
                self._last_id = value.decode(errors="replace")
        return Message(b"\n".join(data), event, self._last_id) if data else None
