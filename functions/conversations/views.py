"""What the API shows: stored rows become the JSON of docs/api.md, key by key as it goes over the wire."""

import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NotRequired, cast

from pydantic import Field
from typing_extensions import TypedDict  # pydantic needs this one before Python 3.12

from functions.common.keys import PK, SK, conversation_pk, parse_message_sk
from functions.common.records import Usage

Row = Mapping[str, str]  # an item of the conversations table: every attribute of it is a string
_PK_PREFIX = conversation_pk("")


class Summary(TypedDict):
    """A conversation in the list. `updatedAt` is its latest activity; a new title is none."""

    id: str
    title: str
    budId: str
    model: str
    createdAt: str
    updatedAt: str


class Listing(TypedDict):
    items: list[Summary]
    cursor: NotRequired[Annotated[str, Field(description="Where the next page begins; absent on the last page.")]]


class Heading(Summary):
    """A conversation without its messages."""

    workspaceId: str


class TokenUsage(TypedDict):
    """Tokens of one model call, as the provider counts them."""

    inputTokens: int
    outputTokens: int
    totalTokens: int


class Message(TypedDict):
    """A message in the tree. The last five are there when they have something to say."""

    id: str
    parentId: str | None
    orderKey: Annotated[str, Field(description="The depth in the tree, zero-padded.")]
    role: str
    content: str
    status: str
    meta: dict[str, Any]
    createdAt: str
    usage: NotRequired[TokenUsage]
    reasoning: NotRequired[str]
    finishReason: NotRequired[str]
    error: NotRequired[Annotated[str, Field(description="The error code of a turn that failed.")]]
    siblings: NotRequired[
        Annotated[
            list[str],
            Field(
                description="With `order=newest`: the ids of all messages with this one's parent, this one included, the oldest"
                " first; absent where it is the only one. Read another's branch with `through`."
            ),
        ]
    ]


class Conversation(Heading):
    """A conversation with messages of it, parents before children.

    All branches; with `order=newest` one branch, a page of it from its end; with `since` what has changed, of all branches.
    """

    messages: list[Message]
    cursor: NotRequired[Annotated[str, Field(description="Where the next page begins; absent on the last page.")]]
    asOf: NotRequired[
        Annotated[
            str,
            Field(
                description="A time to give as `since` later, to get what has changed after this page was read. It lies a minute"
                " back, for what was on its way then; of several pages the first one's counts."
            ),
        ]
    ]


def summary(meta: Row) -> Summary:
    return {
        "id": meta[PK].removeprefix(_PK_PREFIX),
        "title": meta.get("title", ""),  # the first record of a conversation may name none
        "budId": meta["bud_id"],
        "model": meta["model"],
        "createdAt": meta["created_at"],
        "updatedAt": meta["updated_at"],
    }


def heading(meta: Row) -> Heading:
    return {**summary(meta), "workspaceId": meta["workspace_id"]}


def conversation(
    meta: Row,
    messages: Sequence[Row],
    cursor: str | None = None,
    as_of: str | None = None,
    siblings: Mapping[str, Sequence[str]] | None = None,
) -> Conversation:
    """`siblings` are those of some of the messages, by the message's id."""
    shown = [message(row) for row in messages]
    for view in shown:
        if siblings and len(ids := siblings.get(view["id"], ())) > 1:
            view["siblings"] = list(ids)
    document: Conversation = {**heading(meta), "messages": shown}  # type: ignore[typeddict-item]
    if as_of is not None:
        document["asOf"] = as_of
    if cursor is not None:
        document["cursor"] = cursor
    return document


def message(row: Row) -> Message:
    view: Message = {
        "id": row["id"],
        "parentId": row.get("parent_id"),
        "orderKey": parse_message_sk(row[SK])[0],
        "role": row["role"],
        "content": row.get("content", ""),
        "status": row["status"],
        "meta": json.loads(row.get("meta", "{}")),
        "createdAt": row["created_at"],
    }
    if "usage" in row:
        view["usage"] = cast("TokenUsage", Usage.model_validate_json(row["usage"]).public())
    if row.get("reasoning"):
        view["reasoning"] = row["reasoning"]
    if "finish_reason" in row:
        view["finishReason"] = row["finish_reason"]
    if "error" in row:
        view["error"] = row["error"]
    return view
