"""The naive function, for cold starts: FastAPI, AWS clients and the openai SDK, all imported and made before it can listen.

Run as a script, with a folder of its own libraries on the path: nothing of this repository is imported.
"""

import json
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import boto3
import openai
import uvicorn
from fastapi import FastAPI  # type: ignore[import-not-found]
from pydantic import BaseModel
from starlette.responses import StreamingResponse

dynamodb = boto3.client("dynamodb")
sqs = boto3.client("sqs")
client = openai.AsyncOpenAI(api_key="none", base_url=os.environ["UPSTREAM"])
app = FastAPI()


class Chat(BaseModel):
    messages: list[dict[str, str]]


async def answer(messages: Any) -> AsyncIterator[str]:
    """The answer as server-sent events."""
    stream = await client.chat.completions.create(model="bench-model", messages=messages, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            yield f"data: {json.dumps({'type': 'token', 'content': chunk.choices[0].delta.content})}\n\n"


async def chat(body: Chat) -> StreamingResponse:
    return StreamingResponse(answer(body.messages), media_type="text/event-stream")


app.add_api_route("/api/chat", chat, methods=["POST"], response_model=None)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="warning")
