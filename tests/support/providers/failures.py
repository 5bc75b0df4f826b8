"""Complaints, and what they mean."""

import json
from dataclasses import dataclass
from typing import Any, Final

from functions.chat_stream import errors
from local.model.script import Step, cut, raw, status
from local.model.steps import Stage
from tests.support.providers.rows import (
    FIRST_HALF,
    WHOLE,
    delta,
    document,
    escaped,
    event,
    gemini_error,
    litellm_error,
    openai_error,
    says,
    stream,
)


@dataclass(frozen=True, slots=True)
class Fails:
    """A provider's complaint, and what it means. `requests` are made in all."""

    provider: str
    what: str
    source: str
    step: Step
    error: type[errors.ModelFailed]
    text: str = ""
    requests: int = 1

    def __str__(self) -> str:
        return f"{self.provider}: {self.what}"


def breaks_off(*chunks: Any) -> Step:
    return raw(b"".join(chunk if isinstance(chunk, bytes) else event(chunk) for chunk in (delta("so far"), *chunks)))


TOO_LONG: Final = "This model's maximum context length is 8192 tokens. However, your messages resulted in 8312 tokens."
FAILURES: Final = [
    # longer than the model reads
    Fails(
        "OpenAI",
        "context_length_exceeded",
        "vercel/ai#428",
        says(400, openai_error(TOO_LONG, "context_length_exceeded", "messages")),
        errors.ContextTooLong,
    ),
    Fails(
        "OpenAI",
        "input over a limit",
        "archi-physics/archi#497",
        says(
            400, openai_error("Input tokens exceed the configured limit of 272000 tokens.", "context_length_exceeded", "messages")
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "vLLM",
        "says so in a flat object",
        "vllm-project/vllm#20409",
        says(400, {"object": "error", "message": TOO_LONG, "type": "BadRequestError", "param": None, "code": 400}),
        errors.ContextTooLong,
    ),
    Fails(
        "llama.cpp",
        "calls it a fault of its own",
        "ggml-org/llama.cpp#15780",
        says(
            500,
            {
                "error": {
                    "code": 500,
                    "message": "the request exceeds the available context size",
                    "type": "exceed_context_size_error",
                    "n_prompt_tokens": 1407,
                    "n_ctx": 256,
                }
            },
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "llama.cpp",
        "says so inside a 200",
        "oobabooga/textgen#7257",
        document(
            {
                "error": {
                    "code": 400,
                    "message": "the request exceeds the available context size",
                    "type": "exceed_context_size_error",
                }
            }
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "Anthropic",
        "prompt is too long",
        "docs.anthropic.com, errors",
        says(
            400,
            {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "prompt is too long: 205000 tokens > 200000 maximum"},
            },
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "Bedrock",
        "Input is too long",
        "docs.aws.amazon.com, ValidationException",
        says(400, {"message": "Input is too long for requested model."}),
        errors.ContextTooLong,
    ),
    Fails(
        "Gemini",
        "the input token count exceeds the maximum",
        "ai.google.dev, troubleshooting",
        says(
            400,
            gemini_error(
                400, "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).", "INVALID_ARGUMENT"
            ),
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "xAI",
        "maximum prompt length",
        "docs.x.ai",
        says(
            400,
            {
                "code": "Client specified an invalid argument",
                "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
            },
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "Mistral",
        "too large for the model",
        "docs.mistral.ai",
        says(
            400,
            {
                "object": "error",
                "message": "Prompt contains 40003 tokens, too large for model with 32768 maximum context length",
                "type": "invalid_request_error",
                "param": None,
                "code": "3051",
            },
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "Moonshot",
        "exceeded model token limit",
        "platform.moonshot.ai, errors",
        says(400, openai_error("Invalid request: Your request exceeded model token limit: 8192")),
        errors.ContextTooLong,
    ),
    Fails(
        "LM Studio",
        "a text as the error",
        "Gitlawb/openclaude#353",
        says(
            400,
            {
                "error": "The number of tokens to keep from the initial prompt is greater than the context length "
                "(n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger context length"
            },
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "LM Studio",
        "in an event named error",
        "lmstudio-ai/lmstudio-bug-tracker#2322",
        raw(
            b"event: error\n"
            + event({"error": {"message": "Trying to keep the first 111490 tokens when context the overflows."}})
        ),
        errors.ContextTooLong,
    ),
    Fails(
        "LiteLLM",
        "ContextWindowExceededError",
        "docs.litellm.ai, exception mapping",
        says(400, litellm_error("ContextWindowExceededError: OpenAIException - " + TOO_LONG, 400)),
        errors.ContextTooLong,
    ),
    Fails(
        "a gateway",
        "takes no body as large",
        "nginx, client_max_body_size",
        status(413, body="<html>413 Request Entity Too Large</html>"),
        errors.ContextTooLong,
    ),
    # a wrong key
    Fails(
        "OpenAI",
        "invalid_api_key",
        "platform.openai.com, error codes",
        says(401, openai_error("Incorrect API key provided: sk-…", "invalid_api_key")),
        errors.WrongKey,
    ),
    Fails(
        "xAI",
        "an incorrect key is a 400",
        "docs.x.ai, debugging",
        says(400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***ey."}),
        errors.WrongKey,
    ),
    Fails(
        "Gemini",
        "an invalid key is a 400",
        "ai.google.dev, troubleshooting",
        says(
            400,
            gemini_error(400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", reason="API_KEY_INVALID"),
        ),
        errors.WrongKey,
    ),
    Fails(
        "OpenAI",
        "a project without the permission",
        "platform.openai.com, error codes",
        says(403, openai_error("You have insufficient permissions for this operation.")),
        errors.WrongKey,
    ),
    Fails("a gateway", "a 401 without a body", "seen", status(401, body=""), errors.WrongKey),
    Fails(
        "LiteLLM",
        "a proxy without a database meets a key that is not its master's",
        "its proxy, run",
        says(400, {"error": {"message": "No connected db.", "type": "no_db_connection", "param": None, "code": "400"}}),
        errors.WrongKey,
    ),
    # an unknown model
    Fails(
        "OpenAI",
        "model_not_found",
        "platform.openai.com, error codes",
        says(404, openai_error("The model `m` does not exist or you do not have access to it.", "model_not_found")),
        errors.UnknownModel,
    ),
    Fails(
        "OpenAI",
        "a project without access to the model",
        "platform.openai.com, error codes",
        says(403, openai_error("Project `p` does not have access to model `m`", "model_not_found")),
        errors.UnknownModel,
    ),
    Fails(
        "Azure OpenAI",
        "DeploymentNotFound",
        "learn.microsoft.com",
        says(404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}}),
        errors.UnknownModel,
    ),
    Fails(
        "OpenRouter",
        "not a valid model ID",
        "openrouter.ai, errors",
        says(400, {"error": {"message": "m is not a valid model ID", "code": 400}}),
        errors.UnknownModel,
    ),
    Fails(
        "DeepSeek",
        "Model Not Exist",
        "api-docs.deepseek.com, errors",
        says(400, openai_error("Model Not Exist")),
        errors.UnknownModel,
    ),
    Fails(
        "Mistral",
        "Invalid model",
        "docs.mistral.ai",
        says(400, {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "param": None, "code": "1500"}),
        errors.UnknownModel,
    ),
    Fails(
        "Bedrock",
        "the model identifier is invalid",
        "docs.aws.amazon.com, ValidationException",
        says(400, {"message": "The provided model identifier is invalid."}),
        errors.UnknownModel,
    ),
    Fails(
        "Ollama",
        "a model that was not pulled",
        "docs.ollama.com",
        says(404, openai_error("model 'm' not found", kind="api_error")),
        errors.UnknownModel,
    ),
    Fails(
        "LiteLLM",
        "Invalid model name passed in",
        "docs.litellm.ai, proxy",
        says(
            400,
            openai_error("/chat/completions: Invalid model name passed in model=m. Call `/v1/models` to view available models"),
        ),
        errors.UnknownModel,
    ),
    # no credit
    Fails(
        "OpenAI",
        "insufficient_quota is no limit of a rate",
        "platform.openai.com, error codes",
        says(
            429,
            openai_error(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                kind="insufficient_quota",
            ),
        ),
        errors.NoCredit,
    ),
    Fails(
        "DeepSeek",
        "Insufficient Balance",
        "continuedev/continue#9942",
        says(402, openai_error("Insufficient Balance", "invalid_request_error", kind="unknown_error")),
        errors.NoCredit,
    ),
    Fails(
        "DeepSeek",
        "the same as a 400",
        "Aider-AI/aider#4851",
        says(400, openai_error("Insufficient Balance", "invalid_request_error", kind="unknown_error")),
        errors.NoCredit,
    ),
    Fails(
        "OpenRouter",
        "402",
        "openrouter.ai, errors",
        says(402, {"error": {"code": 402, "message": "Insufficient credits. Add more using https://openrouter.ai/credits"}}),
        errors.NoCredit,
    ),
    Fails(
        "Anthropic",
        "a credit balance that is too low",
        "docs.anthropic.com, errors",
        says(
            400,
            {
                "type": "error",
                "error": {
                    "type": "invalid_request_error",
                    "message": "Your credit balance is too low to access the Anthropic API.",
                },
            },
        ),
        errors.NoCredit,
    ),
    Fails(
        "xAI",
        "a team without credits",
        "docs.x.ai, debugging",
        says(
            403,
            {
                "code": "The caller does not have permission to execute the specified operation",
                "error": "Your newly created team doesn't have any credits yet.",
            },
        ),
        errors.NoCredit,
    ),
    Fails(
        "Moonshot",
        "exceeded_current_quota_error",
        "platform.moonshot.ai, errors",
        says(429, {"error": {"type": "exceeded_current_quota_error", "message": "Your account is suspended"}}),
        errors.NoCredit,
    ),
    Fails(
        "LiteLLM",
        "OpenAI's insufficient_quota without its code",
        "its proxy, run",
        says(429, litellm_error("RateLimitError: RateLimitError: OpenAIException - You exceeded your current quota.", 429)),
        errors.NoCredit,
    ),
    # its content filter
    Fails(
        "Azure OpenAI",
        "filters the prompt",
        "compl-ai/compl-ai#20",
        says(
            400,
            {
                "error": {
                    "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
                    "type": None,
                    "param": "prompt",
                    "code": "content_filter",
                    "status": 400,
                    "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}},
                }
            },
        ),
        errors.ContentFiltered,
    ),
    Fails(
        "Azure OpenAI",
        "filters all of an answer",
        "learn.microsoft.com, content filter",
        raw(stream(delta("", role="assistant"), delta(finish_reason="content_filter"))),
        errors.ContentFiltered,
    ),
    Fails(
        "OpenRouter",
        "an input that was flagged is a 403",
        "openrouter.ai, errors",
        says(
            403,
            {
                "error": {
                    "code": 403,
                    "message": "m requires moderation. Your input was flagged",
                    "metadata": {"reasons": ["violence"], "flagged_input": "…"},
                }
            },
        ),
        errors.ContentFiltered,
    ),
    # busy
    Fails(
        "Gemini",
        "a limit of the rate that speaks of quota and billing",
        "ai.google.dev, rate limits",
        says(
            429,
            gemini_error(
                429,
                "You exceeded your current quota, please check your plan and billing details. Please retry in 3s.",
                "RESOURCE_EXHAUSTED",
            ),
        ),
        errors.ModelRateLimited,
        requests=3,
    ),
    Fails(
        "OpenAI",
        "one request over the tokens of a minute",
        "platform.openai.com, rate limits",
        says(
            429,
            openai_error(
                "Request too large for m on tokens per min (TPM): Limit 10000, Requested 12000. The input or output "
                "tokens must be reduced in order to run successfully.",
                "rate_limit_exceeded",
                kind="tokens",
            ),
        ),
        errors.ModelRateLimited,
        requests=3,
    ),
    Fails(
        "Anthropic",
        "529",
        "docs.anthropic.com, errors",
        says(529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        errors.ModelUnavailable,
        requests=3,
    ),
    # in the middle of an answer, or in place of it
    Fails(
        "OpenAI",
        "an error in the stream",
        "platform.openai.com, streaming",
        breaks_off({"error": {"message": "The server had an error while processing your request.", "type": "server_error"}}),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "OpenRouter",
        "an error beside a choice",
        "openrouter.ai, streaming",
        breaks_off(
            {
                "error": {"code": "server_error", "message": "Provider disconnected"},
                "choices": [{"index": 0, "delta": {"content": "!"}, "finish_reason": "error"}],
            }
        ),
        errors.ModelUnavailable,
        "so far!",
    ),
    Fails(
        "OpenRouter",
        "a number as the code",
        "openrouter.ai, errors",
        breaks_off({"error": {"code": 429, "message": "m is temporarily rate-limited upstream"}}),
        errors.ModelRateLimited,
        "so far",
    ),
    Fails(
        "OpenRouter",
        "an error in place of an answer, as a 200",
        "openrouter.ai, errors",
        document({"error": {"code": 502, "message": "Provider returned error"}}),
        errors.ModelUnavailable,
    ),
    Fails(
        "vLLM",
        "a flat object in the stream, and [DONE] behind it",
        "vllm-project/vllm, serving",
        breaks_off({"object": "error", "message": "boom", "type": "InternalServerError", "param": None, "code": 500}, "[DONE]"),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "FastAPI",
        "a detail",
        "fastapi.tiangolo.com",
        breaks_off({"detail": "Internal Server Error"}),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "Ollama",
        "a text as the error",
        "docs.ollama.com",
        breaks_off({"error": "an error was encountered"}),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "a gateway",
        "an event named error that is no JSON",
        "seen",
        breaks_off(b"event: error\ndata: upstream timed out\n\n"),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "a gateway",
        "an event named error with a text",
        "seen",
        breaks_off(b'event: error\ndata: "upstream"\n\n'),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "Anthropic",
        "an object of the type error",
        "docs.anthropic.com, streaming",
        breaks_off({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "DeepSeek",
        "runs out of resources",
        "api-docs.deepseek.com, finish_reason",
        breaks_off(delta(finish_reason="insufficient_system_resource"), "[DONE]"),
        errors.ModelUnavailable,
        "so far",
    ),
    Fails(
        "vLLM", "aborts", "docs.vllm.ai", breaks_off(delta(finish_reason="abort"), "[DONE]"), errors.ModelUnavailable, "so far"
    ),
    Fails("a gateway", "cuts a JSON answer", "seen", raw(json.dumps(WHOLE).encode()[:-9]), errors.ModelCut),
    Fails("a gateway", "answers with JSON that is none of this", "seen", document({"hello": 1}), errors.ModelCut),
    Fails(
        "a gateway",
        "ends with half an emoji, and then breaks",
        "seen",
        lambda stage: _broken_half(stage),
        errors.ModelCut,
        "a\ufffd",
    ),
]


async def _broken_half(stage: Stage) -> None:
    await stage.write(escaped(content=f"a{FIRST_HALF}"))
    await cut()(stage)
