"""The body of a POST: checked, measured, and turned into what the engine works with. CPU only."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from functions.chat_stream.buds import Bud
from functions.chat_stream.settings import Limits
from functions.common import problems
from functions.common.access import Caller
from functions.common.api import ChatBody, ChatMessage
from functions.common.cutting import cut
from functions.common.ids import derived_id, new_id
from functions.common.keys import MAX_DEPTH
from functions.common.records import NewMessage, RecordTooLarge, TurnHead, TurnStarted, encode

_TITLE_CHARS: Final = 80
_SURELY_FITS_BYTES: Final = 150 * 1024  # JSON's worst escape makes one byte six: below this a record always fits a queue message


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """A turn that may begin: what the queue is told of it, and what the model is asked."""

    started: TurnStarted
    prompt: Sequence[Mapping[str, str]]
    parameters: Mapping[str, Any]

    @property
    def size(self) -> int:
        """Characters of the prompt."""
        return sum(len(message["content"]) for message in self.prompt)

    @property
    def head(self) -> TurnHead:
        return self.started.turn


def read_body(raw: bytes, limits: Limits) -> ChatBody:
    """The body as docs/api.md has it; raises InvalidRequest or TooLarge."""
    try:
        body = ChatBody.model_validate_json(raw)
    except ValidationError as error:
        raise problems.InvalidRequest.from_pydantic(error) from None
    if len(body.messages) > limits.messages:
        raise problems.TooLarge(f"messages: {len(body.messages)} of them, at most {limits.messages} are taken")
    for index, message in enumerate(body.messages):
        _check_message(index, message, limits)
    return body


def turn_request(
    body: ChatBody, conversation_id: str | None, caller: Caller, buds: Mapping[str, Bud], limits: Limits, now: str
) -> TurnRequest:
    """The turn the body asks for; `conversation_id` None starts a conversation. Raises a Problem."""
    bud = buds.get(body.bud_id)
    if bud is None:
        raise problems.UnknownBud("budId: there is no such assistant; GET /api/buds lists them")
    model = body.model or bud.default_model or bud.models[0]
    if model not in bud.models:
        raise problems.UnknownModel("model: not one this assistant may use; GET /api/buds lists them")
    if body.workspace_id is not None and not caller.may_touch(body.workspace_id):
        raise problems.ForbiddenWorkspace("workspaceId: not among your workspaces")
    turn_id = body.turn_id or new_id()
    new_messages, depth = _new_messages(body, turn_id, caller, bud, limits)
    started = TurnStarted(
        turn=TurnHead(
            turn_id=turn_id,
            user_id=caller.user_id,
            workspaces=None if caller.workspaces is None else list(caller.workspaces),
            workspace_id=body.workspace_id or (None if conversation_id else caller.personal_workspace),
            conversation_id=conversation_id or derived_id(turn_id, caller.user_id, "conversation"),
            new=conversation_id is None,
            bud_id=bud.id,
            model=model,
            title=_title(body.messages) if conversation_id is None else None,
            parent_id=new_messages[-1].id if new_messages else body.parent_id,
            depth=depth,
            digest=_digest(body, conversation_id),
            started_at=now,
            owner=new_id(),
        ),
        messages=new_messages,
    )
    _check_fits(started)
    return TurnRequest(started, _prompt(bud, body.messages), bud.parameters)


def _check_message(index: int, message: ChatMessage, limits: Limits) -> None:
    where = f"messages.{index}"
    try:
        meta = json.dumps(message.meta, allow_nan=False) if message.meta else ""
    except ValueError:
        raise _invalid(f"{where}.meta", "numbers must be finite") from None
    size = len(message.content.encode()) + len(meta)
    # An answer may be longer than what a person may write, and comes back with the next request.
    most = max(limits.message_bytes, limits.answer_bytes) if message.role == "assistant" else limits.message_bytes
    if size > most:
        raise problems.TooLarge(f"{where}: {size} bytes, at most {most} are taken")
    # A model may say U+0000, and what it said comes back with the next request.
    for field, nul in (("content", "\0" in message.content and message.role != "assistant"), ("meta", "\\u0000" in meta)):
        if nul:
            raise _invalid(f"{where}.{field}", "must not contain U+0000")
    if message.role == "user" and not message.content:
        raise _invalid(f"{where}.content", "a user's message must not be empty")


def _new_messages(body: ChatBody, turn_id: str, caller: Caller, bud: Bud, limits: Limits) -> tuple[list[NewMessage], int]:
    """The messages after `parentId`, each with its place in the branch, and the answer's depth."""
    messages = body.messages
    if messages[-1].role != "user":
        raise _invalid(f"messages.{len(messages) - 1}.role", "the last message must be a user's")
    if not bud.allow_client_system:
        for index, message in enumerate(messages):
            if message.role == "system":
                raise _invalid(f"messages.{index}.role", "this assistant takes no system messages from clients")
    ids = [message.id or derived_id(turn_id, caller.user_id, f"message {index}") for index, message in enumerate(messages)]
    for index, message_id in enumerate(ids):
        if message_id == turn_id or message_id in ids[:index]:
            raise _invalid(f"messages.{index}.id", "used twice: ids of messages and the turnId must differ")
    if body.parent_id is not None and body.parent_id not in ids:
        raise _invalid("parentId", "not the id of one of the messages")
    first = 0 if body.parent_id is None else ids.index(body.parent_id) + 1
    top = _depth_of_the_first(messages, first)
    added = [
        NewMessage(
            id=ids[index],
            parent_id=ids[index - 1] if index else None,
            depth=top + index,
            role=messages[index].role,
            content=messages[index].content,
            meta=messages[index].meta,
        )
        for index in range(first, len(messages))
    ]
    size = sum(len(message.content.encode()) for message in added)
    if size > limits.new_bytes:
        raise problems.TooLarge(f"messages: {size} bytes of new messages, at most {limits.new_bytes} are taken")
    return added, top + len(messages)


def _depth_of_the_first(messages: Sequence[ChatMessage], first_new: int) -> int:
    """The first message's depth in the tree: 0, or what the stored messages' `orderKey`s say, which must agree."""
    top: int | None = None
    for index, message in enumerate(messages):
        if message.order_key is None:
            continue
        field = f"messages.{index}.orderKey"
        if index >= first_new:
            raise _invalid(field, "only a stored message has one: those up to the one that parentId names")
        depth = int(message.order_key) - index
        if depth < 0 or top not in {None, depth}:
            raise _invalid(field, "does not fit its place among the messages: each one's is one more than the one before")
        top = depth
    if top is not None and top + len(messages) > MAX_DEPTH:
        raise _invalid("messages.0.orderKey", "the branch has no room for more messages")
    return top or 0


def _check_fits(started: TurnStarted) -> None:
    size = sum(
        len(message.content.encode()) + len(json.dumps(message.meta) if message.meta else "") for message in started.messages
    )
    if size > _SURELY_FITS_BYTES:
        try:
            encode(started)
        except RecordTooLarge:
            raise problems.TooLarge("messages: the new messages do not fit one queue message, even compressed") from None


def _prompt(bud: Bud, messages: Sequence[ChatMessage]) -> list[Mapping[str, str]]:
    """The bud's system prompts, then the branch, less the answers that failed before a word: providers refuse empty ones."""
    prompt = [{"role": "system", "content": text} for text in bud.system]
    # A user's message may be white space; an answer of nothing but that is as empty as one of nothing.
    said = (message for message in messages if message.role == "user" or message.content.strip())
    return [*prompt, *({"role": message.role, "content": message.content.replace("\0", "\ufffd")} for message in said)]


def _title(messages: Sequence[ChatMessage]) -> str:
    """The first line of the first user's message, cut at a word."""
    text = next(message.content for message in messages if message.role == "user")
    line = " ".join((text.strip().splitlines() or [""])[0].split())
    if len(line) <= _TITLE_CHARS:
        return line or "New chat"
    start = cut(line, _TITLE_CHARS - 1)
    return start[: start.rfind(" ") if " " in start[_TITLE_CHARS // 2 :] else len(start)].rstrip() + "…"


def _digest(body: ChatBody, conversation_id: str | None) -> str:
    """Tells two requests of one turnId apart; the order of keys and absent defaults do not count."""
    sent = body.model_dump(mode="json", exclude={"turn_id"})
    for message in sent["messages"]:
        if message["order_key"] is None:
            del message["order_key"]  # a digest made before there were any stays the same
    canonical: Any = [conversation_id, sent]
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:32]


def _invalid(field: str, message: str) -> problems.InvalidRequest:
    return problems.InvalidRequest(f"{field}: {message}", [problems.Field(field, message)])
