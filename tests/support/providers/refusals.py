"""Refusals of optional parameters, and what is left out because of them."""

import json
from dataclasses import dataclass
from typing import Any, Final

from tests.support.providers.rows import gemini_error, litellm_error, openai_error

ALL_OF_THEM: Final = {
    "temperature": 0.2,
    "top_p": 0.9,
    "presence_penalty": 0.1,
    "frequency_penalty": 0.1,
    "max_completion_tokens": 50,
    "reasoning_effort": "low",
}


@dataclass(frozen=True, slots=True)
class Refuses:
    """A provider's refusal of a parameter, and what is left out (or sent under its other name) because of it."""

    provider: str
    what: str
    source: str
    number: int
    body: Any
    left_out: set[str]
    sent_instead: str | None = None

    def __str__(self) -> str:
        return f"{self.provider}: {self.what}"


def pydantic_error(*places: str) -> list[Any]:
    return [
        {"type": "extra_forbidden", "loc": ["body", place], "msg": "Extra inputs are not permitted", "input": 0}
        for place in places
    ]


REFUSALS: Final = [
    Refuses(
        "OpenAI",
        "temperature, by value",
        "johny-b/llmcomp#69",
        400,
        openai_error(
            "Unsupported value: 'temperature' does not support 0.2 with this model. Only the default (1) value is supported.",
            "unsupported_value",
            "temperature",
        ),
        {"temperature"},
    ),
    Refuses(
        "OpenAI",
        "temperature, by name",
        "BeehiveInnovations/pal-mcp-server#78",
        400,
        openai_error(
            "Unsupported parameter: 'temperature' is not supported with this model.", "unsupported_parameter", "temperature"
        ),
        {"temperature"},
    ),
    Refuses(
        "OpenAI",
        "reasoning_effort of a value",
        "platform.openai.com, reasoning",
        400,
        openai_error(
            "Unsupported value: 'reasoning_effort' does not support 'low' with this model.",
            "unsupported_value",
            "reasoning_effort",
        ),
        {"reasoning_effort"},
    ),
    Refuses(
        "OpenAI",
        "more tokens than the model makes",
        "platform.openai.com, chat",
        400,
        openai_error(
            "max_tokens is too large: 50. This model makes at most 40 completion tokens.",
            "invalid_value",
            "max_completion_tokens",
        ),
        {"max_completion_tokens", "max_tokens"},
    ),
    Refuses(
        "OpenAI",
        "streams of an organisation that is not verified",
        "platform.openai.com, verification",
        400,
        openai_error("Your organization must be verified to stream this model.", "unsupported_value", "stream"),
        {"stream", "stream_options"},
    ),
    Refuses(
        "Azure OpenAI",
        "stream_options, of an old version",
        "learn.microsoft.com",
        400,
        openai_error("Unknown parameter: 'stream_options.include_usage'.", "unknown_parameter", "stream_options.include_usage"),
        {"stream_options"},
    ),
    Refuses(
        "Mistral",
        "what it does not know, as a validator lists it",
        "nomtek/mistralai_client_dart#44",
        422,
        {
            "object": "error",
            "message": {"detail": pydantic_error("stream_options", "frequency_penalty")},
            "type": "invalid_request_error",
            "param": None,
            "code": None,
        },
        {"stream_options", "frequency_penalty"},
    ),
    Refuses(
        "Mistral",
        "the same as a text",
        "mistralai/platform-docs-public#7",
        422,
        {
            "object": "error",
            "message": json.dumps({"detail": pydantic_error("frequency_penalty")}),
            "type": "internal_error_proxy",
            "param": None,
            "code": "1000",
        },
        {"frequency_penalty"},
    ),
    Refuses(
        "Mistral",
        "the newer name for max_tokens",
        "docs.mistral.ai, chat completion",
        422,
        {"detail": pydantic_error("max_completion_tokens")},
        {"max_completion_tokens"},
        "max_tokens",
    ),
    Refuses(
        "a gateway",
        "the newer name, in words",
        "seen",
        400,
        openai_error("Unrecognized request argument supplied: max_completion_tokens"),
        {"max_completion_tokens"},
        "max_tokens",
    ),
    Refuses(
        "xAI",
        "in camel case, the error a text",
        "n8n-io/n8n#14581",
        400,
        {"code": "Client specified an invalid argument", "error": "Argument not supported on this model: presencePenalty"},
        {"presence_penalty"},
    ),
    Refuses(
        "xAI",
        "reasoningEffort",
        "BerriAI/litellm#16265",
        400,
        {"code": "Client specified an invalid argument", "error": "Model m does not support parameter reasoningEffort."},
        {"reasoning_effort"},
    ),
    Refuses(
        "Gemini",
        "each unknown name, in a list",
        "n4ze3m/page-assist#418",
        400,
        gemini_error(
            400,
            'Invalid JSON payload received. Unknown name "frequency_penalty": Cannot find field.\nInvalid JSON '
            'payload received. Unknown name "top_p": Cannot find field.',
            "INVALID_ARGUMENT",
        ),
        {"frequency_penalty", "top_p"},
    ),
    Refuses(
        "Gemini",
        "penalties, without a name",
        "google-gemini/cookbook#1290",
        400,
        gemini_error(400, "Penalty is not enabled for this model", "INVALID_ARGUMENT"),
        {"presence_penalty", "frequency_penalty"},
    ),
    Refuses(
        "LiteLLM",
        "UnsupportedParamsError",
        "BerriAI/litellm#7748",
        400,
        litellm_error(
            "UnsupportedParamsError: gemini does not support parameters: {'frequency_penalty': 0.5}, for model=m.", 400
        ),
        {"frequency_penalty"},
    ),
    Refuses(
        "LiteLLM",
        "temperature of gpt-5",
        "docs.litellm.ai, drop_params",
        400,
        litellm_error(
            "UnsupportedParamsError: gpt-5 models (including gpt-5-codex) don't support temperature=0.2. Only temperature=1 "
            "is supported. For gpt-5.1, temperature is supported when reasoning_effort='none' (or not specified, as it "
            "defaults to 'none'). To drop unsupported params set `litellm.drop_params = True`",
            400,
        ),
        {"temperature"},
    ),
    Refuses(
        "Anthropic",
        "two that exclude each other",
        "docs.anthropic.com",
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            },
        },
        {"temperature", "top_p"},
    ),
    Refuses(
        "Bedrock",
        "an extraneous key",
        "docs.aws.amazon.com, ValidationException",
        400,
        {"message": "Malformed input request: extraneous key [stream_options] is not permitted, please reformat your input."},
        {"stream_options"},
    ),
    Refuses(
        "vLLM",
        "a tokens' cap beyond its context",
        "vllm-project/vllm, serving",
        400,
        {
            "object": "error",
            "message": "'max_tokens' or 'max_completion_tokens' is too large: 50. This model's maximum context "
            "length is 60 tokens and your request has 20 input tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
        {"max_completion_tokens", "max_tokens"},
    ),
]
