"""The relay that stores first: the conversation, the message and the answer's place are written, then the model is asked."""

import asyncio
import os
from typing import Any
from uuid import uuid4

import boto3
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from bench.relays.parsed import answer, main

dynamodb = boto3.client("dynamodb")


def put(conversation_id: str, sk: str, **values: str) -> None:
    item: dict[str, Any] = {name: {"S": text} for name, text in {"pk": conversation_id, "sk": sk, **values}.items()}
    dynamodb.put_item(TableName=os.environ["CHAT_CONVERSATIONS_TABLE"], Item=item)


async def chat(request: Request) -> StreamingResponse:
    body = await request.json()
    conversation_id = str(uuid4())
    await asyncio.to_thread(put, conversation_id, "META", title=body["messages"][0]["content"])
    await asyncio.to_thread(put, conversation_id, f"MSG#{uuid4()}", role="user", content=body["messages"][0]["content"])
    await asyncio.to_thread(put, conversation_id, f"MSG#{uuid4()}", role="assistant", status="streaming")
    return StreamingResponse(answer(body["messages"]), media_type="text/event-stream")


if __name__ == "__main__":
    main(Starlette(routes=[Route("/api/chat", chat, methods=["POST"])]))
