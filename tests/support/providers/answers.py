"""Answers, and what a reader gets of them."""

import json
from dataclasses import dataclass
from typing import Final

from local.model.script import Step, raw
from tests.support.providers.rows import COUNT, EMOJI, FIRST_HALF, OTHER_HALF, WHOLE, delta, document, escaped, event, stream


@dataclass(frozen=True, slots=True)
class Says:
    """A provider's answer, and what a reader gets of it."""

    provider: str
    what: str
    source: str
    body: bytes | Step
    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    tokens: int | None = None
    thinks: bool = False

    def __str__(self) -> str:
        return f"{self.provider}: {self.what}"

    @property
    def step(self) -> Step:
        return raw(self.body) if isinstance(self.body, bytes) else self.body


ANSWERS: Final = [
    Says(
        "OpenAI",
        "names the role first, counts in a chunk without choices",
        "platform.openai.com, chat streaming",
        stream(
            delta("", role="assistant", refusal=None) | {"usage": None, "service_tier": "default", "obfuscation": "x"},
            delta("Hel") | {"usage": None},
            delta("lo"),
            delta(finish_reason="stop"),
            {"choices": [], "usage": COUNT},
        ),
        "Hello",
        tokens=7,
    ),
    Says(
        "OpenAI",
        "refuses in the model's own words",
        "platform.openai.com, refusals",
        stream(delta(role="assistant", content=None), delta(refusal="I can"), delta(refusal="not."), delta(finish_reason="stop")),
        "I cannot.",
    ),
    Says(
        "Azure OpenAI",
        "begins with a chunk without choices and adds filter results",
        "learn.microsoft.com, content streaming",
        stream(
            {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}], "object": ""},
            delta("", role="assistant"),
            delta("all"),
            {"choices": [{"index": 0, "finish_reason": None, "content_filter_results": {"hate": {"filtered": False}}}]},
            {"choices": [{"index": 0, "delta": {}, "content_filter_offsets": {"check_offset": 4}, "finish_reason": "stop"}]},
        ),
        "all",
    ),
    Says(
        "Azure OpenAI",
        "filters the rest of an answer",
        "learn.microsoft.com, content filter",
        stream(delta("so far"), delta(finish_reason="content_filter")),
        "so far",
        finish_reason="content_filter",
    ),
    Says(
        "Bedrock",
        "writes gpt-oss's reasoning between tags, each piece in a pair of its own",
        "browseros-ai/BrowserOS#167",
        stream(
            *map(delta, ("<reasoning>We need", "</reasoning><reasoning> to</reason", "ing>1 ", "<b>")),
            delta(finish_reason="stop"),
        ),
        "1 <b>",
        reasoning="We need to",
        thinks=True,
    ),
    Says(
        "Mistral",
        "sends thinking and text as lists of parts, the count in the last chunk",
        "docs.mistral.ai, reasoning",
        stream(
            delta([{"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}], role="assistant"),
            delta([{"type": "thinking", "thinking": [{"type": "text", "text": " see."}], "closed": True}]),
            delta([{"type": "text", "text": "Four"}, {"type": "reference", "reference_ids": [1]}]),
            delta(".", finish_reason="stop") | {"usage": COUNT},
        ),
        "Four.",
        reasoning="Let me see.",
        tokens=7,
    ),
    Says(
        "Mistral",
        "calls the greatest length model_length",
        "docs.mistral.ai, chat completion",
        stream(delta("so far", finish_reason="model_length")),
        "so far",
        finish_reason="length",
    ),
    Says(
        "DeepSeek",
        "reasons in reasoning_content beside a null, and keeps alive with comments",
        "api-docs.deepseek.com, reasoning",
        stream(
            b": keep-alive\n\n",
            delta(role="assistant", reasoning_content="Hm", content=None),
            b": keep-alive\n\n",
            delta(reasoning_content=None, content="Yes"),
            delta("", finish_reason="stop") | {"usage": COUNT},
        ),
        "Yes",
        reasoning="Hm",
        tokens=7,
    ),
    Says(
        "xAI",
        "counts in every chunk, and counts reasoning only into the total",
        "docs.x.ai, streaming",
        stream(
            delta(reasoning_content="Hm", role="assistant")
            | {"usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 4}},
            delta("Yes", finish_reason="stop") | {"usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 9}},
        ),
        "Yes",
        reasoning="Hm",
        tokens=9,
    ),
    Says(
        "Gemini",
        "counts in each chunk, names the role in each",
        "ai.google.dev, OpenAI compatibility",
        stream(
            delta("one ", role="assistant") | {"usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}},
            delta("two", role="assistant", finish_reason="stop") | {"usage": COUNT},
        ),
        "one two",
        tokens=7,
    ),
    Says(
        "OpenRouter",
        "sends comments, and reasoning under two names",
        "openrouter.ai, streaming; reasoning tokens",
        stream(
            b": OPENROUTER PROCESSING\n\n",
            delta("", reasoning="Hm", reasoning_details=[{"type": "reasoning.text", "text": "Hm", "format": "unknown"}]),
            delta("Yes", reasoning=None),
            delta("", finish_reason="stop"),
            delta("") | {"usage": COUNT},
        ),
        "Yes",
        reasoning="Hm",
        tokens=7,
    ),
    Says(
        "OpenRouter",
        "sends reasoning as details alone, some of it encrypted",
        "openrouter.ai, reasoning tokens",
        stream(
            delta(
                "",
                reasoning_details=[{"type": "reasoning.summary", "summary": "Hm"}, {"type": "reasoning.encrypted", "data": "x"}],
            ),
            delta("Yes", finish_reason="stop"),
        ),
        "Yes",
        reasoning="Hm",
    ),
    Says(
        "vLLM",
        "has a null for each field it knows, and reasoning under both names",
        "docs.vllm.ai, reasoning outputs",
        stream(
            delta("", role="assistant", reasoning_content=None, tool_calls=[]),
            delta(None, reasoning="Hm", reasoning_content="Hm"),
            delta("Yes", reasoning_content=None),
            delta("", finish_reason="stop"),
            {"choices": [], "usage": COUNT},
        ),
        "Yes",
        reasoning="Hm",
        tokens=7,
    ),
    Says(
        "llama.cpp",
        "begins with a null, ends with its timings",
        "ggml-org/llama.cpp, tools/server",
        stream(
            delta(role="assistant", content=None),
            delta("Yes"),
            delta(finish_reason="stop") | {"timings": {"prompt_n": 1}},
            {"choices": [], "usage": COUNT, "timings": {}},
        ),
        "Yes",
        tokens=7,
    ),
    Says(
        "Ollama",
        "reasons in `reasoning`",
        "docs.ollama.com, OpenAI compatibility",
        stream(delta("", role="assistant", reasoning="Hm"), delta("Yes", role="assistant"), delta("", finish_reason="stop")),
        "Yes",
        reasoning="Hm",
    ),
    Says(
        "LM Studio",
        "gives an open model's text as it is, tags and all",
        "lmstudio.ai, reasoning",
        stream(*map(delta, ("<thi", "nk>\nHm", "</th", "ink>\n\n", "Write <think> there.")), delta(finish_reason="stop")),
        "Write <think> there.",
        reasoning="Hm",
        thinks=True,
    ),
    Says(
        "an open model",
        "never ends its thinking",
        "deepseek-ai/DeepSeek-R1, model card",
        stream(delta("<think>Hm"), delta(" </thi"), delta(finish_reason="length")),
        "",
        reasoning="Hm </thi",
        finish_reason="length",
        thinks=True,
    ),
    Says(
        "any model",
        "that is not said to think writes about the tag",
        "its words",
        stream(delta("<think>"), delta(" is a tag."), delta(finish_reason="stop")),
        "<think> is a tag.",
    ),
    Says(
        "Groq",
        "counts in a field of its own",
        "console.groq.com, chat completions",
        stream(delta("Yes"), delta(finish_reason="stop") | {"x_groq": {"id": "r", "usage": COUNT}}),
        "Yes",
        tokens=7,
    ),
    Says(
        "Moonshot",
        "counts inside of the choice",
        "platform.moonshot.ai, streaming",
        stream(delta("Yes"), {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNT}]}),
        "Yes",
        tokens=7,
    ),
    Says(
        "Perplexity",
        "repeats the answer so far beside each delta",
        "docs.perplexity.ai, chat completions",
        stream(
            *(
                {"choices": [{"index": 0, "delta": {"content": new}, "message": {"content": all_}}]}
                for new, all_ in (("a", "a"), ("b", "ab"))
            ),
            {"choices": [{"index": 0, "delta": {}, "message": {"role": "assistant", "content": "ab"}, "finish_reason": "stop"}]},
        ),
        "ab",
    ),
    Says(
        "LiteLLM",
        "adds thinking blocks to the reasoning it has sent",
        "docs.litellm.ai, reasoning content",
        stream(
            delta("", reasoning_content="Hm", thinking_blocks=[{"type": "thinking", "thinking": "Hm", "signature": None}]),
            delta("", thinking_blocks=[{"type": "thinking", "thinking": "", "signature": "c2ln"}]),
            delta("Yes", finish_reason="stop"),
        ),
        "Yes",
        reasoning="Hm",
    ),
    Says("a gateway", "ends without a finish reason", "seen", stream(delta("all")), "all"),
    Says("a gateway", "has an empty finish reason", "seen", stream(delta("all", finish_reason="")), "all"),
    Says(
        "TGI",
        "calls the end eos_token",
        "huggingface.co, text-generation-inference",
        stream(delta("all", finish_reason="eos_token")),
        "all",
    ),
    Says(
        "a gateway",
        "writes finish reasons in capitals",
        "Gemini's own API",
        stream(delta("all", finish_reason="MAX_TOKENS")),
        "all",
        finish_reason="length",
    ),
    Says("a gateway", "never ends its stream with [DONE]", "seen", event(delta("all", finish_reason="stop")), "all"),
    Says("a gateway", "answers with one JSON completion", "seen", document(WHOLE), "whole", tokens=7),
    Says(
        "a gateway", "answers with JSON that it calls a stream", "seen", document(WHOLE, "text/event-stream"), "whole", tokens=7
    ),
    Says(
        "a gateway",
        "keeps a JSON answer alive with white space",
        "openrouter.ai, streaming",
        raw(b"\n\n   \n" + json.dumps(WHOLE).encode()),
        "whole",
        tokens=7,
    ),
    Says(
        "a gateway",
        "answers with JSON whose content is a list",
        "docs.mistral.ai, reasoning",
        document(
            {
                "choices": [
                    {
                        "message": {
                            "content": [
                                {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                                {"type": "text", "text": "Yes"},
                            ]
                        }
                    }
                ]
            }
        ),
        "Yes",
        reasoning="Hm",
    ),
    Says(
        "a gateway",
        "answers with JSON that reasons",
        "api-docs.deepseek.com",
        document({"choices": [{"message": {"reasoning_content": "Hm", "content": "Yes"}, "finish_reason": "length"}]}),
        "Yes",
        reasoning="Hm",
        finish_reason="length",
    ),
    Says("a gateway", "puts the whole completion into one event", "seen", stream(WHOLE), "whole", tokens=7),
    Says(
        "a gateway",
        "calls deltas messages",
        "seen",
        stream({"choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]}),
        "whole",
    ),
    Says(
        "a gateway",
        "answers as to a completion of a text",
        "platform.openai.com, completions",
        stream({"choices": [{"index": 0, "text": "all", "finish_reason": "stop"}]}),
        "all",
    ),
    Says(
        "a gateway",
        "sends two answers at once",
        "platform.openai.com, n",
        stream(
            {"choices": [{"index": 1, "delta": {"content": "other"}}]},
            {"choices": [{"index": 1, "delta": {"content": "other"}}, {"index": 0, "delta": {"content": "first"}}]},
            {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
            delta(finish_reason="stop"),
        ),
        "first",
    ),
    Says(
        "a gateway",
        "sends nulls and empty events",
        "seen",
        stream(
            {"choices": None},
            {"choices": [{"delta": None}]},
            b"data:\n\n",
            b"data: \n\n",
            {"id": "x"},
            {"type": "ping"},
            {"choices": [{"index": 0, "delta": {"content": None}}], "error": None},
            delta("all", finish_reason="stop"),
        ),
        "all",
    ),
    Says(
        "a gateway",
        "sends parts of many kinds",
        "platform.openai.com, responses",
        stream(
            delta(
                [
                    {"type": "image_url", "image_url": {"url": "x"}},
                    "a",
                    {"type": "output_text", "text": "b"},
                    None,
                    {"text": "c"},
                    {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm"}]},
                    {"type": "tool_use", "text": "no"},
                ]
            ),
            delta({"type": "text", "text": "d"}, finish_reason="stop"),
        ),
        "abcd",
        reasoning="Hm",
    ),
    Says(
        "a gateway",
        "cuts an emoji's escapes in two",
        "seen",
        stream(escaped(content=f"a{FIRST_HALF}"), escaped(content=f"{OTHER_HALF}b"), delta(finish_reason="stop")),
        f"a{EMOJI}b",
    ),
    Says(
        "a gateway",
        "cuts one in two with another chunk between",
        "seen",
        stream(
            escaped(content=f"a{FIRST_HALF}"),
            delta("", reasoning="Hm"),
            {"choices": []},
            escaped(content=f"{OTHER_HALF}b"),
            delta(finish_reason="stop"),
        ),
        f"a{EMOJI}b",
        reasoning="Hm",
    ),
    Says(
        "a gateway",
        "cuts emojis of reasoning and text at once",
        "seen",
        stream(
            escaped(reasoning=f"r{FIRST_HALF}", content=f"t{FIRST_HALF}"),
            escaped(reasoning=OTHER_HALF, content=OTHER_HALF),
            delta(finish_reason="stop"),
        ),
        f"t{EMOJI}",
        reasoning=f"r{EMOJI}",
    ),
    Says(
        "a gateway",
        "leaves the other half away",
        "seen",
        stream(
            escaped(content=f"a{FIRST_HALF}"),
            delta("b"),
            escaped(content=f"{OTHER_HALF}c{FIRST_HALF}"),
            delta(finish_reason="stop"),
        ),
        "a\ufffdb\ufffdc\ufffd",
    ),
]
