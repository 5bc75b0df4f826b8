"""Cursors: a position inside one listing, and nothing else.

A cursor holds the sort key of the last row shown. The partition it is read in (a workspace, a conversation) comes from the
authorised request each time, so a cursor forged, altered or carried elsewhere is at worst
another position in the caller's own rows.
"""

import base64
import binascii
import re
from typing import Final, NamedTuple

from functions.common.ids import is_uuid
from functions.common.keys import message_sk, parse_message_sk
from functions.common.problems import Field, InvalidRequest

_LISTING: Final = "c1:"  # the kind of listing and the version of the form
_MESSAGES: Final = "m1:"
_BRANCH: Final = "b1:"
_MAX_CHARS: Final = 200
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_TIME = re.compile(r"[0-9T:.Z+-]{10,40}", re.ASCII)


class Place(NamedTuple):
    """Where a message is: its depth in the tree, and its id."""

    depth: int
    id: str


def of_activity(activity: str) -> str:
    """The cursor behind the conversation whose `activity` this is."""
    return _encode(_LISTING + activity)


def of_message(sort_key: str) -> str:
    """The cursor behind the message of this sort key."""
    order, message_id = parse_message_sk(sort_key)
    return _encode(f"{_MESSAGES}{int(order)}#{message_id}")


def of_place(place: Place) -> str:
    """The cursor that goes on with this message of a branch."""
    return _encode(f"{_BRANCH}{place.depth}#{place.id}")


def to_activity(cursor: str) -> str:
    """The `activity` to read on from; raises InvalidRequest."""
    activity = _decode(cursor, _LISTING)
    when, _, conversation_id = activity.partition("#")
    if not _TIME.fullmatch(when) or not is_uuid(conversation_id):
        raise _malformed()
    return activity


def to_message(cursor: str) -> str:
    """The message's sort key to read on from; raises InvalidRequest."""
    return message_sk(*_place(_decode(cursor, _MESSAGES)))


def to_place(cursor: str) -> Place:
    """The message of a branch to go on with; raises InvalidRequest."""
    return _place(_decode(cursor, _BRANCH))


def _place(text: str) -> Place:
    depth, _, message_id = text.partition("#")
    if not (depth.isascii() and depth.isdigit() and len(depth) <= 6 and is_uuid(message_id)):
        raise _malformed()
    return Place(int(depth), message_id)


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str, kind: str) -> str:
    if len(cursor) > _MAX_CHARS or not _ALPHABET.fullmatch(cursor):
        raise _malformed()
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        raise _malformed() from None
    if not text.startswith(kind):
        raise _malformed()
    return text.removeprefix(kind)


def _malformed() -> InvalidRequest:
    message = "not a cursor that this listing gave out"
    return InvalidRequest(f"cursor: {message}", [Field("cursor", message)])
