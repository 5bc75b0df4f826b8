"""How a turn fails: one tree; each class knows its code, its sentence, and whether a retry helps.

TurnFailed
├── ModelFailed
│   ├── ModelRateLimited   429, after the retries
│   ├── ModelUnavailable   5xx, no connection, after the retries
│   ├── ModelTimeout       no first token in time
│   ├── ModelStalled       silence in mid-answer
│   ├── ModelCut           the stream broke, made no sense, or ended without a finish reason
│   └── ModelRefused       4xx: trying again changes nothing
├── DeadlineReached        the function's time is up, or the server goes down
├── NotSaved               the queue refused the answer after retries
├── ConversationNotFound   persist found no such conversation in the caller's workspaces
├── AlreadyRunning         the same turn runs elsewhere and tokens had left here already
├── OtherContent           the turnId was used for another request
├── MessageIdTaken         a message's id was used for another message of the conversation
├── QuotaExceeded          nothing of the turn is stored, and its turnId may be used again
│   ├── TooManyStreams     as many answers as allowed are under way
│   ├── TooManyTurns       as many turns as allowed began this minute
│   └── TokensUsedUp       as many tokens as allowed were used today
└── Broken                 a fault of ours
"""

from typing import ClassVar


class TurnFailed(Exception):
    """`code` is API.md's; `sentence` is for the person; `kept` says whether the answer so far is saved."""

    code: ClassVar[str] = "internal"
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


class TooManyTurns(QuotaExceeded):
    sentence = "That was a lot of messages in one minute. Wait a moment."


class TokensUsedUp(QuotaExceeded):
    sentence, retryable = "Today's tokens are used up. They come back at midnight UTC.", False


class Broken(TurnFailed):
    pass


_REFUSALS = {refusal.code: refusal for refusal in (ConversationNotFound, MessageIdTaken)}


def refused(code: str) -> TurnFailed:
    """What persist's refusal of a turn, by its code, means to its reader."""
    return _REFUSALS[code]()
