"""What the rows are made of: chunks, bodies, error documents."""

import json
from typing import Any, Final

from local.model.script import Step, status
from local.model.steps import Stage

EMOJI: Final = "🎈"
FIRST_HALF, OTHER_HALF = "\\ud83c", "\\udf88"  # of it, as JSON escapes


def event(data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return f"data: {text}\n\n".encode()


def delta(content: Any = None, finish_reason: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk; `more` are further fields of its delta."""
    said = more if content is None else {"content": content, **more}
    return {"choices": [{"index": 0, "delta": said, "finish_reason": finish_reason}]}


def stream(*chunks: Any) -> bytes:
    """Each chunk as an event, bytes as they are, and the end mark."""
    return b"".join(chunk if isinstance(chunk, bytes) else event(chunk) for chunk in chunks) + event("[DONE]")


COUNT: Final = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
WHOLE: Final = {
    "object": "chat.completion",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
    "usage": COUNT,
}


def document(body: Any, content_type: str = "application/json") -> Step:
    async def play(stage: Stage) -> None:
        data = json.dumps(body).encode()
        await stage.reply.start(200, [("content-type", content_type), ("content-length", str(len(data)))])
        await stage.reply.body(data)

    return play


def escaped(**fields: str) -> bytes:
    """A chunk whose delta has these fields, each given as it stands in the JSON, escapes and all."""
    said = ",".join(f'"{name}":"{text}"' for name, text in fields.items())
    return event(f'{{"choices":[{{"delta":{{{said}}}}}]}}')


def openai_error(message: str, code: str | None = None, param: str | None = None, kind: str = "invalid_request_error") -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def gemini_error(number: int, message: str, name: str, **detail: Any) -> Any:
    return [{"error": {"code": number, "message": message, "status": name, "details": [detail]}}]


def litellm_error(message: str, number: int) -> Any:
    return {"error": {"message": f"litellm.{message}", "type": None, "param": None, "code": str(number)}}


def says(number: int, body: Any) -> Step:
    return status(number, body=body)
