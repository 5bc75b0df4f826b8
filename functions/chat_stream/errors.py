"""How a turn fails: one tree; each class knows its code, its sentence, and whether a retry helps.

TurnFailed
├── ModelFailed
│   ├── ModelRateLimited   429, after the retries
│   ├── ModelUnavailable   5xx, no connection, after the retries
│   ├── ModelTimeout       no first token in time
│   ├── ModelStalled       silence in mid-answer
│   ├── ModelCut           the stream broke, made no sense, or ended without saying that it was the end
│   ├── ModelRefused       4xx: trying again changes nothing
│   │   └── ContentFiltered   the provider's content filter took the question or the whole answer
│   ├── ContextTooLong     the conversation is longer than the model reads
│   └── ModelMisconfigured nothing the reader can mend; the log and a metric name the reason
│       ├── WrongKey           401, 403
│       ├── NoKey              the secret holds none
│       ├── UnknownModel       404
│       ├── NoCredit           402, 429 insufficient_quota
│       └── ParameterRefused   the provider refused another parameter when it was asked once more
├── DeadlineReached        the function's time is up, or the server goes down
├── NotSaved               the queue refused the answer after retries
├── ConversationNotFound   persist found no such conversation in the caller's workspaces
├── AlreadyRunning         the same turn runs elsewhere and tokens had left here already
├── OtherContent           the turnId was used for another request
├── MessageIdTaken         a message's id was used for another message of the conversation
├── QuotaExceeded          nothing of the turn is stored, and its turnId may be used again
│   ├── TooManyStreams     as many answers as allowed are under way
│   ├── TooManyResumes     as many streams as allowed show answers again
│   ├── TooManyTurns       as many turns as allowed began this minute
│   └── TokensUsedUp       as many tokens as allowed were used today
└── Broken                 a fault of ours
"""

from collections.abc import Iterator
from typing import ClassVar

from functions.common.events import Failed


class TurnFailed(Exception):
    """`code` is docs/api.md's; `sentence` is for the person; `kept` says whether the answer so far is saved.

    `reason` is for the operator, in the log and the metric, where the code alone would not tell what to mend.
    """

    code: ClassVar[str] = "internal"
    reason: ClassVar[str | None] = None
    sentence: ClassVar[str] = "Something went wrong on our side."
    retryable: ClassVar[bool] = True
    kept: ClassVar[bool] = True


class ModelFailed(TurnFailed):
    code, sentence = "model_unavailable", "The model does not answer right now."


class ModelRateLimited(ModelFailed):
    code, sentence = "model_rate_limited", "The model is taking no more requests right now."


class ModelUnavailable(ModelFailed):
    pass


class ModelTimeout(ModelFailed):
    code, sentence = "model_timeout", "The model did not begin to answer in time."


class ModelStalled(ModelFailed):
    code, sentence = "model_stalled", "The model fell silent in the middle of its answer."


class ModelCut(ModelFailed):
    code, sentence = "model_cut", "The model's answer broke off."


class ModelRefused(ModelFailed):
    code, sentence, retryable = "model_refused", "The model refused the request.", False


class ContentFiltered(ModelRefused):
    reason = "content_filter"


class ContextTooLong(ModelFailed):
    code, retryable = "context_too_long", False
    sentence = "This conversation is longer than the model can read. Start a new chat, or shorten the message."


class ModelMisconfigured(ModelFailed):
    code, retryable = "model_misconfigured", False
    sentence = "This model is not set up correctly. It is not your fault; tell whoever runs this service."


class WrongKey(ModelMisconfigured):
    reason = "wrong_key"


class NoKey(ModelMisconfigured):
    reason = "no_key"


class UnknownModel(ModelMisconfigured):
    reason = "unknown_model"


class NoCredit(ModelMisconfigured):
    reason = "no_credit"


class ParameterRefused(ModelMisconfigured):
    """What was refused is remembered, so the next turn is asked without it."""

    reason, retryable = "parameter_refused", True
    sentence = "The model did not accept how it was asked. It is not your fault; try again."


class DeadlineReached(TurnFailed):
    code, sentence = "deadline", "There was no time left to finish the answer."


class NotSaved(TurnFailed):
    code, sentence, kept = "not_saved", "The answer could not be saved. Keep it, and send the message again.", False


class ConversationNotFound(TurnFailed):
    code, sentence, retryable, kept = "conversation_not_found", "There is no such conversation.", False, False


class AlreadyRunning(TurnFailed):
    code, sentence, kept = "duplicate_turn", "This turn is being answered already: resume its stream.", False


class OtherContent(TurnFailed):
    code, sentence, retryable, kept = "duplicate_turn", "This turnId was used for another request.", False, False


class MessageIdTaken(OtherContent):
    sentence = "A message's id was used for another message of this conversation."


class QuotaExceeded(TurnFailed):
    code, kept = "quota_exceeded", False


class TooManyStreams(QuotaExceeded):
    sentence = "Too many answers are under way. Wait for one to end, or stop it."


class TooManyResumes(QuotaExceeded):
    sentence = "Too many streams show your answers again. Close some, and try again in a moment."


class TooManyTurns(QuotaExceeded):
    sentence = "That was a lot of messages in one minute. Wait a moment."


class TokensUsedUp(QuotaExceeded):
    sentence, retryable = "Today's tokens are used up. They come back at midnight UTC.", False


class Broken(TurnFailed):
    pass


def stored(code: str) -> Failed:
    """The end of a turn that failed with this code and whose partial answer is stored."""
    error: type[TurnFailed] = next((kind for kind in _all_below(TurnFailed) if kind.code == code), Broken)
    return Failed(code, error.sentence, error.retryable, True)


def _all_below(kind: type[TurnFailed]) -> Iterator[type[TurnFailed]]:
    for below in kind.__subclasses__():
        yield below
        yield from _all_below(below)


_REFUSALS = {refusal.code: refusal for refusal in (ConversationNotFound, MessageIdTaken)}


def refused(code: str) -> TurnFailed:
    """What persist's refusal of a turn, by its code, means to its reader."""
    return _REFUSALS[code]()
