"""What the streaming function answers, as types for the OpenAPI document alone: it makes its answers without their start time."""

from typing import Annotated, Final, Literal

from pydantic import Field

from functions.common.api import Body, Id
from functions.common.records import AnswerStatus


class TurnState(Body):
    """How a turn stands. `conversationId` is there once the turn is stored."""

    turn_id: Id
    status: Literal["streaming"] | AnswerStatus
    conversation_id: Id | None = None
    durable: bool
    updated_at: str


class StopAccepted(Body):
    """The turn was asked to stop. `status` is what it was then."""

    turn_id: Id
    status: str


class BudOffer(Body):
    """An assistant on offer, without its prompts."""

    id: str
    name: str
    description: str
    greeting: str
    models: Annotated[list[str], Field(description="The first is the one used when a request names none.")]
    avatar: str


class Logout(Body):
    """A page that ends the browser's session at the issuer, and the names of the two query parameters it takes."""

    url: str
    client_id_param: Annotated[str, Field(description="Its value is `clientId`.")]
    return_to_param: Annotated[str, Field(description="Its value is where to go afterwards: the client's origin and a slash.")]


class SignIn(Body):
    """What a client signs in with. `logout` is null where the issuer's discovery document names an `end_session_endpoint` that
    takes OpenID Connect's own parameters. Refresh tokens are revoked at the discovery document's `revocation_endpoint`.
    """

    issuer: str
    client_id: str | None
    scopes: list[str]
    logout: Logout | None


class ClientConfig(Body):
    """What a client needs to sign in; `auth` is null where nobody has to."""

    version: str
    auth: SignIn | None


class Health(Body):
    status: Literal["ok"]
    version: str


class EventTokens(Body):
    input_tokens: int
    output_tokens: int
    total_tokens: int


class StartEvent(Body):
    """First of every turn."""

    type: Literal["start"]
    turn_id: Id
    model: str


class TokenEvent(Body):
    """A piece of the answer, or of the model's reasoning."""

    type: Literal["token", "reasoning"]
    content: str


class ConversationCreatedEvent(Body):
    """Once, when the new conversation is stored."""

    type: Literal["conversationCreated"]
    conversation_id: Id


class PersistPendingEvent(Body):
    """Storage has not confirmed in time; the queue holds the answer."""

    type: Literal["persistPending"]
    turn_id: Id


class ErrorEvent(Body):
    """Last of a turn that failed. `partial`: text was produced and saved."""

    type: Literal["error"]
    code: str
    message: str
    retryable: bool
    partial: bool


class CompleteEvent(Body):
    """Last of every other turn. `durable`: the queue has accepted the answer."""

    type: Literal["complete"]
    turn_id: Id
    conversation_id: Id | None
    finish_reason: str | None
    status: Literal["complete", "stopped", "truncated"]
    usage: EventTokens | None
    durable: bool


EVENTS: Final = (StartEvent, TokenEvent, ConversationCreatedEvent, PersistPendingEvent, ErrorEvent, CompleteEvent)
