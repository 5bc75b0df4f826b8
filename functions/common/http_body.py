"""An HTTP/1.1 response taken apart (RFC 9112): its head, and the bytes of its body, whatever the cuts between reads.

One pass over what a read brought, and no object per chunk: a provider sends one chunk a token, and a parser that makes an event
of each costs more than all the rest of the relay.
"""

from typing import Final, NamedTuple

_MAX_HEAD_BYTES: Final = 64 * 1024
_MAX_LINE_BYTES: Final = 4096  # of a chunk's size with its extensions, or of the trailers' lines
_NO_BODY: Final = frozenset({204, 304})


class Malformed(ValueError):
    """What came is no HTTP/1.1."""


class Head(NamedTuple):
    status: int
    headers: list[tuple[bytes, bytes]]

    def get(self, name: bytes) -> bytes:
        """The field's value, lower case, several joined; empty when it is not there."""
        return b",".join(value for field, value in self.headers if field.lower() == name).lower()


class ResponseParser:
    """Fed what is read; `head` is there once it is whole, `feed` gives the body's bytes, `done` says that it is whole."""

    def __init__(self) -> None:
        self.head: Head | None = None
        self.done = False
        self.malformed = False
        self.reusable = False  # whether another request may follow on the connection
        self._buffer = b""
        self._chunked = False
        self._left = 0  # bytes of the body, or of the chunk with its CRLF, that are still to come
        self._to_the_end = False
        self._trailers = False

    def feed(self, data: bytes) -> bytes:
        """The body's bytes that `data` brought; those before a fault come out, and `malformed` says that there was one."""
        try:
            if self.head is None:
                data = self._until_body(data)
            if self.head is None:
                return b""
            if self.done:
                self._after_the_end(data)
                return b""
            if self._to_the_end:
                return data
            return self._chunks(data) if self._chunked else self._counted(data)
        except Malformed:
            self.malformed = True
            return b""

    def eof(self) -> bool:
        """The other side closed; whether the body may end that way."""
        self.done = self.done or (self.head is not None and self._to_the_end)
        return self.done

    def _until_body(self, data: bytes) -> bytes:
        """Takes heads in, interim ones too; returns what is behind the last, nothing while it is not whole."""
        self._buffer += data
        while self.head is None:
            before, found, after = self._buffer.partition(b"\r\n\r\n")
            if not found:
                if len(self._buffer) > _MAX_HEAD_BYTES:
                    raise Malformed("head")
                return b""
            self._buffer = after
            self._begin(_head(before))
        body, self._buffer = self._buffer, b""
        return body

    def _begin(self, head: Head) -> None:
        if 100 <= head.status < 200:  # an interim response: the real one follows
            return
        self.head = head
        self.reusable = b"close" not in head.get(b"connection")
        if head.status in _NO_BODY:
            self.done = True
        elif b"chunked" in head.get(b"transfer-encoding"):
            self._chunked = True
        elif length := head.get(b"content-length"):
            self._left = _number(length.partition(b",")[0].strip(), 10)
            self.done = self._left == 0
        else:
            self._to_the_end, self.reusable = True, False

    def _counted(self, data: bytes) -> bytes:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        if not self._left:
            self.done = True
            self._after_the_end(rest)
        return body

    def _chunks(self, data: bytes) -> bytes:
        """`_left` counts a chunk's data and the CRLF behind it."""
        line, _, rest = data.partition(b"\r\n")
        if line == b"%x" % (len(rest) - 2) and len(rest) > 2 and not (self._left or self._buffer or self._trailers):
            return rest[:-2]  # one whole chunk: how nearly every read looks
        data, self._buffer = self._buffer + data, b""
        parts: list[bytes] = []
        at, length = 0, len(data)
        while not self.done:
            if self._left:
                end = at + self._left
                parts.append(data[at : max(at, end - 2)])
                self._left = max(0, end - length)
                if self._left:
                    break
                at = end
            end = data.find(b"\n", at)
            if end < 0:
                self._buffer = data[at:]
                self.malformed = len(self._buffer) > _MAX_LINE_BYTES
                break
            try:
                self._line(data[at:end])
            except Malformed:
                self.malformed = True
                break
            at = end + 1
        if self.done:
            self._after_the_end(data[at:])
        return b"".join(parts)

    def _line(self, line: bytes) -> None:
        """A chunk's size, or a line of the trailers; the empty one ends the body."""
        if self._trailers:
            self.done = line in (b"\r", b"")
        elif size := _number(line.partition(b";")[0].strip(), 16):
            self._left = size + 2
        else:
            self._trailers = True

    def _after_the_end(self, data: bytes) -> None:
        if data:  # nothing was asked for that this could be
            self.reusable = False


def _head(raw: bytes) -> Head:
    first, *lines = raw.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise Malformed("status line")
    headers = []
    for line in lines:
        name, found, value = line.partition(b":")
        if not found or not name or name != name.strip():
            raise Malformed("header")
        headers.append((name, value.strip()))
    head = Head(_number(rest[:3], 10), headers)
    if not 100 <= head.status < 600:
        raise Malformed("status")
    return head


def _number(text: bytes, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError:
        raise Malformed("number") from None
    if not text.isalnum() or text[1:2] in (b"x", b"X"):  # int() takes signs, underscores, "0x"
        raise Malformed("number")
    return number
