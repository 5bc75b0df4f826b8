"""The relay everyone writes: Starlette, the openai SDK, one parsed chunk and one frame a token. No sign-in, nothing stored."""

import json
import os
import sys
from collections.abc import AsyncIterator

import openai
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

client = openai.AsyncOpenAI(api_key="none", base_url=os.environ["UPSTREAM"])


async def answer(messages: list[openai.types.chat.ChatCompletionMessageParam]) -> AsyncIterator[str]:
    """The answer as server-sent events."""
    stream = await client.chat.completions.create(
        model="bench-model", messages=messages, stream=True, stream_options={"include_usage": True}
    )
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield f"data: {json.dumps({'type': 'token', 'content': chunk.choices[0].delta.content})}\n\n"
    yield f"data: {json.dumps({'type': 'complete'})}\n\n"


async def chat(request: Request) -> StreamingResponse:
    body = await request.json()
    return StreamingResponse(answer(body["messages"]), media_type="text/event-stream")


def main(app: Starlette) -> None:
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")


if __name__ == "__main__":
    main(Starlette(routes=[Route("/api/chat", chat, methods=["POST"])]))
