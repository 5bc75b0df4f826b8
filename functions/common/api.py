"""The body of a turn as it comes over the wire: `chat_stream` reads it, the OpenAPI document of all routes describes it."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints
from pydantic.alias_generators import to_camel

from functions.common.ids import UUID_PATTERN
from functions.common.records import Role

DEFAULT_BUD: Final = "default"
Id = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]


OrderKey = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class ChatMessage(Body):
    """A message of the branch. Its id is made by the server when absent.

    `orderKey`, as the server gave it, belongs to a message that is stored already (up to `parentId`). With it the messages may
    begin anywhere in the branch, so that a long one need not be sent whole.
    """

    id: Id | None = None
    order_key: OrderKey | None = None
    role: Role
    content: str
    meta: dict[str, JsonValue] = {}


class ChatBody(Body):
    """`POST /api/chat` and `POST /api/chat/{conversationId}`, field by field as docs/api.md has them."""

    turn_id: Id | None = None
    workspace_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    bud_id: str = DEFAULT_BUD
    model: str | None = None
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    parent_id: Id | None = None
