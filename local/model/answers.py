"""What the embedded model says: the same answer to the same question, in the Markdown that was asked for."""

import re
from collections.abc import Iterable, Sequence
from itertools import cycle, islice
from typing import Any, Final

_TOKEN = re.compile(r"\s*\w{1,7}|\s*[^\w\s]|\s+$")
_CODE = re.compile(r"\b(code|function|python|script|program|snippet|javascript|typescript|sql|regex|algorithm)\b", re.IGNORECASE)
_TABLE = re.compile(r"\b(table|compare|comparison|versus|vs|columns?)\b", re.IGNORECASE)
_LIST = re.compile(r"\b(list|steps|how (do|can|to)|plan|ideas?|tips)\b", re.IGNORECASE)
_GREETING = re.compile(r"^\W*(hi|hello|hey|hallo|good (morning|day|evening))\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W\d_]{4,}")
_COMMON: Final = re.compile(
    r"(?:about|does|explain|from|function|give|have|hello|into|list|make|please|python|show|table|tell|that|then|this"
    r"|what|when|where|which|while|with|would|write|your)",
    re.IGNORECASE,
)

_HELLO: Final = (
    "Hello! I am the demo model of this local run, so no provider and no key is involved. Everything around me is real, though: "
    "the words you are reading were streamed one by one, and the conversation is being stored while I am still writing. "
    "Ask me for some code, a list, or a table."
)
_PROSE: Final = (
    "You asked about {topic}. As the demo model of this local run I know little about it, but I can show how an answer arrives: "
    "each word leaves as soon as it is made, nothing waits for the database, and the whole text is stored once, "
    "even if this page is closed before I am done."
)
_CODE_ANSWER: Final = """Here is a small example around **{topic}**:

```python
def {name}(items: list[str]) -> dict[str, int]:
    \"\"\"How often each item occurs.\"\"\"
    counts: dict[str, int] = {{}}
    for item in items:
        counts[item] = counts.get(item, 0) + 1
    return counts


print({name}(["red", "blue", "red"]))
```

It prints `{{'red': 2, 'blue': 1}}`. The loop reads each item once, so it stays quick for long lists."""
_TABLE_ANSWER: Final = """A short comparison for **{topic}**:

| Way | First word | Stored | Good for |
|---|---|---|---|
| Wait for the whole answer | seconds | before it is shown | batch jobs |
| Stream, then store | at once | while it is shown | chat |
| Stream, never store | at once | not at all | demos |

The second row is what this application does."""
_LIST_ANSWER: Final = """For **{topic}**, in three steps:

1. **Start small.** Pick one case and make it work from end to end.
2. **Measure it.** Note what takes time before changing anything.
3. **Then widen it.** Add the next case only when the first one holds.

Ask again with more detail and I will say the same, for I am a demo model."""


def answer_to(messages: Sequence[Any]) -> str:
    """The answer to the last user message."""
    question = _last_question(messages)
    if _GREETING.match(question) and len(question) < 40:
        return _HELLO
    topic = _topic(question)
    name = re.sub(r"\W", "_", f"count_{topic.split()[-1].lower()}") if topic.isascii() else "count_items"
    for asked, answer in ((_CODE, _CODE_ANSWER), (_TABLE, _TABLE_ANSWER), (_LIST, _LIST_ANSWER)):
        if asked.search(question):
            return answer.format(topic=topic, name=name)
    return _PROSE.format(topic=topic)


def tokens_of(text: str, count: int | None = None) -> list[str]:
    """The text in pieces as a tokenizer would cut it; exactly `count` of them when given, the text repeated or cut."""
    tokens = _TOKEN.findall(text)
    if count is None:
        return tokens
    again = ["\n\n" + tokens[0].lstrip(), *tokens[1:]]
    return [*tokens[:count], *islice(cycle(again), max(0, count - len(tokens)))]


def count_tokens(messages: Iterable[Any]) -> int:
    """What the messages would cost as a prompt: their tokens, and four more for each message's frame."""
    return sum(4 + len(_TOKEN.findall(_text(message))) for message in messages)


def _last_question(messages: Sequence[Any]) -> str:
    return next((_text(one) for one in reversed(messages) if isinstance(one, dict) and one.get("role") == "user"), "")


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # the API takes parts, too
        return " ".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _topic(question: str) -> str:
    words = [word for word in _WORDS.findall(question) if not _COMMON.fullmatch(word)]
    return " ".join(words[:3]) or "that"
