"""What a provider says went wrong, whatever its shape, and the failure it means.

Providers that call themselves compatible with OpenAI agree on where an answer lies, but not on errors: an object, a text, a list,
a validator's places, under HTTP statuses that differ. Nothing of what they say is shown or logged: it may repeat the prompt.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property, reduce
from typing import Any, Final

from functions.chat_stream import errors

_MOST_CHARS: Final = 4_000  # of the sentences, and of each list or object that is looked into
_MOST_PARTS: Final = 20
_DEEPEST: Final = 6
_SENTENCES: Final = ("message", "msg", "Message", "description", "detail", "error_description", "raw")
_NAMES: Final = ("code", "type", "status", "reason", "__type", "innererror")
_INSIDE: Final = ("error", "errors", "detail", "details", "message", "fieldViolations", "metadata", "innererror")


class Words:
    """Patterns, in any case. Compiled when first searched for: only a failure needs them, so no cold start pays for it."""

    def __init__(self, *patterns: str) -> None:
        self._patterns = patterns

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile("|".join(self._patterns), re.IGNORECASE)

    def are_in(self, text: str) -> bool:
        return self._compiled.search(text) is not None


@dataclass(frozen=True, slots=True)
class Report:
    """`status` is HTTP's, or the number inside an error object; `codes` are names in lower case; `places` are the fields of the
    request that are named as wrong.
    """

    status: int | None = None
    codes: str = ""
    text: str = ""
    places: tuple[str, ...] = ()

    @classmethod
    def of(cls, status: int | None, body: object) -> "Report":
        """`body` is JSON, or the text of what is none."""
        found = _Found()
        found.look_into(body, 0)
        text = " ".join(found.sentences)[:_MOST_CHARS]
        return cls(status or found.status, " ".join(found.names).lower(), text, tuple(found.places))

    @classmethod
    def of_bytes(cls, status: int | None, raw: bytes) -> "Report":
        try:
            body: object = json.loads(raw)
        except (ValueError, RecursionError):
            body = raw[:_MOST_CHARS].decode(errors="replace")
        return cls.of(status, body)

    def says(self, words: Words) -> bool:
        return words.are_in(self.text) or words.are_in(self.codes)

    @property
    def final(self) -> bool:
        """Whether the same request would be refused again, whatever the status promises."""
        hopeless = errors.ContextTooLong | errors.ModelMisconfigured | errors.ContentFiltered
        return isinstance(failure(self), hopeless) or self.says(_ORDER) or self.says(_NO_SYSTEM)


class ProviderError(Exception):
    """A provider said that something is wrong."""

    def __init__(self, report: Report) -> None:
        super().__init__()
        self.report = report


class _Found:
    """What a walk through an error document met."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.names: list[str] = []
        self.sentences: list[str] = []
        self.places: list[str] = []

    def look_into(self, part: object, depth: int) -> None:
        if depth > _DEEPEST:
            return
        if isinstance(part, str):
            self.sentences.append(part[:_MOST_CHARS])
        elif isinstance(part, list):
            for one in part[:_MOST_PARTS]:
                self.look_into(one, depth + 1)
        elif isinstance(part, dict):
            self._fields(part, depth)

    def _fields(self, fields: dict[str, Any], depth: int) -> None:
        for name in _NAMES:
            self._name(fields.get(name))
        for place in (fields.get("param"), fields.get("field")):
            if isinstance(place, str) and place:
                self.places.append(place)
        if isinstance(place := fields.get("loc"), list):
            self.places.append(".".join(str(step) for step in place[:_MOST_PARTS]))
        for name in _SENTENCES:
            if isinstance(said := fields.get(name), str):
                self.sentences.append(said[:_MOST_CHARS])
        for name in _INSIDE:
            inside = fields.get(name)
            if isinstance(inside, dict | list) or (name in {"error", "errors"} and isinstance(inside, str)):
                self.look_into(inside, depth + 1)

    def _name(self, value: object) -> None:
        if isinstance(value, str):
            self.names.append(value[:100])
            value = int(value) if value.isascii() and value.isdigit() and len(value) == 3 else None
        if isinstance(value, int) and 400 <= value < 600 and self.status is None:
            self.status = value


# Each line of the patterns names the providers that say so.
_TOO_LONG: Final = Words(
    r"context_length_exceeded|string_above_max_length",  # OpenAI, Azure, Groq
    r"exceed_context_size|available context size|context size has been exceeded",  # llama.cpp, LM Studio
    r"context[ _](length|window|size)",  # OpenAI, vLLM, DeepSeek, Mistral, Ollama, LiteLLM, LM Studio
    r"maximum (prompt|input) length|(input|prompt|request).{0,20} (is|are) too (long|large)",  # xAI; Anthropic, Bedrock
    r"(exceeds?|exceeded|cannot exceed).{0,40}(number of (input )?tokens|token limit|maximum length)",  # Gemini, Moonshot, Cohere
    r"input token(s| count).{0,40}exceed|too many (input |total text )?(tokens|bytes)",  # Gemini, Bedrock
    r"`inputs` (must have|tokens)|input length should be",  # Hugging Face's TGI, DashScope
    r"tokens to keep from the initial prompt|tokens when (the )?context",  # LM Studio
    r"reduce the length of (the|your) (messages|input|prompt)",  # OpenAI, Groq, vLLM
)
_NO_CREDIT: Final = Words(
    r"insufficient[ _](account[ _])?(quota|balance|credits?|funds)",  # OpenAI; DeepSeek; OpenRouter
    r"credit balance is too low|out of credits|used all available credits",  # Anthropic, xAI
    r"doesn't have any credits|does not have any credits|spending limit",  # xAI
    r"billing_(hard_limit|not_active)|account is not active|arrearage",  # OpenAI, DashScope
    r"exceeded_current_quota|payment[ _]required|budget_exceeded|budget has been exceeded",  # Moonshot, LiteLLM
)
# OpenAI's words without its code, as LiteLLM hands them on; Gemini has the same for what comes back by itself.
_QUOTA_USED_UP: Final = Words(r"exceeded your current quota")
_COMES_BACK: Final = Words(r"resource_exhausted|retry in|rate-limits|per (minute|day)|free[ _]tier")
_WRONG_KEY: Final = Words(
    r"invalid[ _]api[ _-]?key|api[ _]key[ _](is[ _])?(not[ _]valid|invalid|expired|not[ _]found)",  # OpenAI; Gemini, with a 400
    r"incorrect api key|(missing|no) api key",  # xAI, with a 400
    r"authentication_?error|invalid[ _]authentication|unauthenticated|unrecognizedclient",  # Anthropic, Moonshot, Bedrock
    r"no_db_connection",  # LiteLLM's proxy without a database, to any key but its master's
)
_UNKNOWN_MODEL: Final = Words(
    r"model_not_found|invalid_model|unknown_model|deploymentnotfound|model_decommissioned|model_not_available",
    r"\bmodels?\b(?! to\b).{0,80}(not exist|not found|not a valid|not available|no longer|decommissioned|not loaded|not a chat)",
    r"(invalid|unknown|no such|not a valid|not a chat) model|model (identifier|name|id) is invalid|no models? loaded",
    r"model is only supported in|access to the model",
)
_FILTERED: Final = Words(r"content_filter|content_policy|responsibleai|content management policy|moderation|\bflagged\b")
_RATE_LIMITED: Final = Words(r"rate[ _]?limit|too[ _]many[ _]requests|resource_exhausted|throttl|quota|tokens per min")
_REFUSED: Final = Words(r"invalid_?request|bad_?request|invalid_argument|unprocessable|validation")
# These want users and assistants in turn, the user first: Mistral's API, and the chat templates of many open models.
_ORDER: Final = Words(
    r"must alternate|alternating|invalid_request_message_order|unexpected role",
    r"first (non-system )?message.{0,60}\buser\b|system message.{0,20}must be.{0,10}(at the beginning|first)",
)
_NO_SYSTEM: Final = Words(
    r"system (role|messages?|prompts?) (is |are )?(not supported|unsupported|not allowed)",  # Gemma's template
    r"not support (the )?['\"`]?system|role['\"`]? does not support ['\"`]system",  # OpenAI's o1-mini
)
_NEGATION: Final = Words(
    r"n[o']t\b|\bno\b|cannot|unsupported|unknown|unrecogni[sz]ed|unexpected|extra|invalid|only|deprecated|must be|at most",
    r"too (large|high)",
)
ORDER_OF_MESSAGES: Final = "the order of messages"
SYSTEM_MESSAGES: Final = "system messages"


def failure(report: Report) -> errors.ModelFailed:
    """How the turn fails."""
    status = report.status
    if status != 429 and (status == 413 or (status not in {401, 402, 403} and report.says(_TOO_LONG))):
        return errors.ContextTooLong()
    used_up = report.says(_QUOTA_USED_UP) and not report.says(_COMES_BACK)
    if status == 402 or used_up or report.says(_NO_CREDIT):
        return errors.NoCredit()
    if status == 429:
        return errors.ModelRateLimited()
    if report.says(_FILTERED) and (status is None or 400 <= status < 500):
        return errors.ContentFiltered()
    if status not in {400, 401, 403, 404, 422, None}:
        return _by_status(status)
    if report.says(_UNKNOWN_MODEL) or {place.rpartition(".")[2] for place in report.places} == {"model"}:
        return errors.UnknownModel()
    if status in {401, 403} or report.says(_WRONG_KEY):
        return errors.WrongKey()
    if status == 404:
        return errors.UnknownModel()
    return errors.ModelRefused() if status is not None else _by_name(report)


def _by_status(status: int | None) -> errors.ModelFailed:
    if status == 408:
        return errors.ModelTimeout()
    return errors.ModelRefused() if status is not None and 400 <= status < 500 else errors.ModelUnavailable()


def _by_name(report: Report) -> errors.ModelFailed:
    """An error inside a 200 that has no number."""
    if _RATE_LIMITED.are_in(report.codes):
        return errors.ModelRateLimited()
    if _REFUSED.are_in(report.codes):
        return errors.ModelRefused()
    return errors.ModelUnavailable()


def refused(report: Report, sent: Iterable[str]) -> frozenset[str]:
    """What the provider refuses of the optional things that were `sent`: parameters, ORDER_OF_MESSAGES, SYSTEM_MESSAGES.

    A refusal that names a place in the messages is of nothing optional, whatever words it repeats.
    """
    if report.status not in {400, 422, 500, None}:
        return frozenset()
    if report.says(_NO_SYSTEM):
        return frozenset({SYSTEM_MESSAGES})
    if report.says(_ORDER):
        return frozenset({ORDER_OF_MESSAGES})
    if report.status == 500 or _FILTERED.are_in(report.codes):
        return frozenset()
    names = tuple(sent)
    if placed := frozenset(name for name in names for place in report.places if _name_of(name).search(place)):
        return placed
    if any(re.search(r"messages|prompt|input", place) for place in report.places):
        return frozenset()
    return _named(report.text, [name for name in names if name != "stream"]) or _unnamed(report, names)


def _named(text: str, sent: Iterable[str]) -> frozenset[str]:
    """The parameters that the first sentence of refusal names, and those that follow in sentences of the same form.

    Other sentences explain, and may name what was not refused: LiteLLM's of gpt-5 do.
    """
    forms: dict[str, set[str]] = {}
    for sentence in re.split(r"(?<=[.!?])\s+|\n", text):
        named = {name for name in sent if _name_of(name).search(sentence)}
        if named:
            form = reduce(lambda rest, name: _name_of(name).sub("", rest), sorted(named), sentence)
            forms.setdefault(form, set()).update(named)
    refusing = next((form for form in forms if _NEGATION.are_in(form)), next(iter(forms), None))
    return frozenset(forms[refusing]) if refusing is not None else frozenset()


def _unnamed(report: Report, sent: tuple[str, ...]) -> frozenset[str]:
    """Parameters that are refused in words of their own."""
    if re.search(r"\bpenalt(y|ies)\b", report.text, re.IGNORECASE):  # Gemini
        return frozenset(name for name in sent if name.endswith("_penalty"))
    if re.search(r"(verified|cannot|not support\w*|n't support) (to )?stream(ing)?\b", report.text, re.IGNORECASE):
        return frozenset({"stream"} & set(sent))
    return frozenset()


@cache
def _name_of(parameter: str) -> re.Pattern[str]:
    """`stream_options`, as some write it: streamOptions, "stream options"."""
    words = "[_ .-]?".join(parameter.split("_"))
    if parameter in {"max_tokens", "max_completion_tokens"}:  # gateways translate one into the other, and into their provider's
        words = "max[_ .-]?((completion|output)[_ .-]?)?tokens"
    return re.compile(rf"(?<![A-Za-z0-9_]){words}(?![A-Za-z0-9_])", re.IGNORECASE)
