"""How a model is asked: the request's body, less what its provider was found to refuse.

Which optional parameters a model takes is written nowhere that a program could read it. A refused one is left out, or sent under
its other name, and the process remembers that for the model, so that only its first turn pays with a second request.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from functions.chat_stream.reports import ORDER_OF_MESSAGES, SYSTEM_MESSAGES, Report, Words, refused

Prompt = Sequence[Mapping[str, str]]

MAX_TOKENS: Final = "max_completion_tokens"
_OTHER_NAME: Final = {MAX_TOKENS: "max_tokens"}  # OpenAI's older name, the only one some providers know
_STREAM, _USAGE = "stream", "stream_options"
_NO_SUCH_NAME: Final = Words(r"support|unknown|unrecogni[sz]ed|unexpected|extra|not permitted|not allowed|cannot find|instead")
_GREETED: Final = "You began this conversation with: "


@dataclass(frozen=True, slots=True)
class Asking:
    """One request. `parameters` are optional; `learnt` is what the provider was found to refuse of this model."""

    model: str
    prompt: Prompt
    parameters: Mapping[str, Any] = field(default_factory=dict)
    learnt: frozenset[str] = frozenset()

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model, "messages": arranged(self.prompt, self.learnt)}
        if _STREAM not in self.learnt:
            body[_STREAM] = True
            if _USAGE not in self.learnt:
                body[_USAGE] = {"include_usage": True}
        for name, value in self.parameters.items():
            if (sent := self._name(name)) is not None:
                body[sent] = value
        return body

    def refused(self, report: Report) -> frozenset[str]:
        """What the provider refuses of what this request holds without need."""
        found = refused(report, self._sent()) - self.learnt
        if MAX_TOKENS in found and not report.says(_NO_SUCH_NAME):
            found |= {_OTHER_NAME[MAX_TOKENS]}  # it knows the name, and takes no such number
        return found

    def without(self, found: frozenset[str]) -> "Asking":
        """The request that is made once more: with nothing that could be refused for a like reason.

        Where a provider names only the first of several parameters that it refuses, the second request would meet the next one.
        Of the others, the next turn finds out.
        """
        kept = self.parameters
        if found - {ORDER_OF_MESSAGES, SYSTEM_MESSAGES}:
            kept = {name: value for name, value in self.parameters.items() if name in found & _OTHER_NAME.keys()}
        more = frozenset({_USAGE}) if _STREAM in found else frozenset()
        return replace(self, parameters=kept, learnt=self.learnt | found | more)

    def _name(self, parameter: str) -> str | None:
        """The name under which it is sent; None for one that is not."""
        return next((name for name in (parameter, _OTHER_NAME.get(parameter)) if name and name not in self.learnt), None)

    def _sent(self) -> Iterable[str]:
        return [name for name in self.body() if name not in {"model", "messages"}]


class Learnt:
    """What this process has found out about each model."""

    def __init__(self) -> None:
        self._of: dict[str, frozenset[str]] = {}

    def about(self, model: str) -> frozenset[str]:
        return self._of.get(model, frozenset())

    def add(self, model: str, found: frozenset[str]) -> None:
        self._of[model] = self.about(model) | found


def arranged(prompt: Prompt, learnt: frozenset[str] = frozenset()) -> list[Mapping[str, str]]:
    """The prompt as the provider takes it: neighbours of one role are one message, since many want roles in turn.

    Where a provider wants more than that, system messages go first and what the assistant said before any user becomes one, too;
    where it knows no system messages, they go before the first user's.
    """
    messages = list(prompt)
    if learnt & {ORDER_OF_MESSAGES, SYSTEM_MESSAGES}:
        messages = _users_first(messages)
    joined = _joined(messages)
    if SYSTEM_MESSAGES in learnt and len(joined) > 1 and joined[0]["role"] == "system":
        return _joined([{**joined[0], "role": "user"}, *joined[1:]])
    return joined


def _users_first(messages: Prompt) -> list[Mapping[str, str]]:
    first_user = next((index for index, message in enumerate(messages) if message["role"] == "user"), len(messages))
    system = [message for message in messages if message["role"] == "system"]
    greetings = [message for message in messages[:first_user] if message["role"] == "assistant"]
    told = [{"role": "system", "content": _GREETED + message["content"]} for message in greetings]
    return [*system, *told, *(message for message in messages[first_user:] if message["role"] != "system")]


def _joined(messages: Iterable[Mapping[str, str]]) -> list[Mapping[str, str]]:
    joined: list[Mapping[str, str]] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1] = {**message, "content": f"{joined[-1]['content']}\n\n{message['content']}"}
        else:
            joined.append(message)
    return joined
