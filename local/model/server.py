"""The model server: `POST /v1/chat/completions` and `GET /v1/models`, answering by script or as the demo model does."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from local.model import wire
from local.model.answers import answer_to, count_tokens, tokens_of
from local.model.http import Reply, Request, serve_connection
from local.model.pace import Pace
from local.model.steps import Stage, Step

Script = Sequence[Step]
_THOUGHTS: Final = tokens_of("The user asks something. I am a demo model, so I know what to say.")
_NOT_BY_REASONING: Final = ("top_p", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs", "logit_bias")


def listen(port: int = 0) -> socket.socket:
    """A listening socket on loopback."""
    listener = socket.create_server(("127.0.0.1", port), backlog=512)
    # What it accepts takes this over; asyncio does it only for sockets it made. Without it, small pieces wait for an ACK: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class ModelServer:
    """`script` says what to play for a request to the completions route: steps, or None for the demo answer at `pace`."""

    def __init__(
        self, pace: Pace, script: Callable[[Request], Script | None] = lambda _: None, models: Sequence[str] = ("demo",)
    ) -> None:
        self._pace = pace
        self._script = script
        self._models = list(models)

    async def run(self, listener: socket.socket, until: asyncio.Event) -> None:
        """Serves until the event is set, then drops what is open."""
        open_connections: set[asyncio.Task[None]] = set()

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(serve_connection(reader, writer, self._answer))
            open_connections.add(task)
            task.add_done_callback(open_connections.discard)

        server = await asyncio.start_server(connected, sock=listener)
        await until.wait()
        server.close()
        ending = list(open_connections)
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _answer(self, request: Request, reply: Reply) -> None:
        route = (request.method, request.path.partition("?")[0])
        if route == ("GET", "/v1/models"):
            await reply.json(200, wire.models(self._models))
        elif route != ("POST", "/v1/chat/completions"):
            await reply.json(404, wire.error("unknown_url", f"Unknown request URL: {request.method} {request.path}"))
        elif (script := self._script(request)) is not None:
            body = request.body if isinstance(request.body, dict) else {}
            stage = Stage(reply, wire.Completion(str(body.get("model", "demo"))))
            for step in script:
                await step(stage)
            await stage.write(b"")  # a script that said nothing still answers
        else:
            await self._demo(request.body, reply)

    async def _demo(self, body: Any, reply: Reply) -> None:
        if (problem := _problem_of(body)) is not None:
            await reply.json(400, wire.error("invalid_request", problem))
            return
        if body["model"] == wire.REASONING_MODEL and (refusal := _refusal_of(body)) is not None:
            await reply.json(400, refusal)
            return
        tokens = tokens_of(answer_to(body["messages"]), self._pace.tokens)
        allowed = body.get("max_completion_tokens") or body.get("max_tokens") or len(tokens)
        reason = "length" if allowed < len(tokens) else "stop"
        tokens = tokens[:allowed]
        counts = count_tokens(body["messages"]), len(tokens)
        stage = Stage(reply, wire.Completion(body["model"]))
        if not body.get("stream"):
            await asyncio.sleep(self._pace.ttft_s + self._pace.delay_s * len(tokens))
            await reply.json(200, stage.completion.whole("".join(tokens), reason, *counts))
            return
        await self._stream(stage, tokens, _THOUGHTS if body["model"] == wire.REASONING_MODEL else ())
        await stage.chunk({}, reason)
        if (body.get("stream_options") or {}).get("include_usage"):
            await stage.write(wire.event(stage.completion.usage_chunk(*counts)))
        await stage.write(wire.DONE)

    async def _stream(self, stage: Stage, tokens: Sequence[str], thoughts: Sequence[str]) -> None:
        """The thoughts, then the tokens, on an absolute schedule, so that a busy machine does not slow the pace itself."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._pace.ttft_s  # headers come with the first token, as providers send them
        pieces = [*(("reasoning_content", thought) for thought in thoughts), *(("content", token) for token in tokens)]
        for field, piece in pieces:
            if (wait := due - loop.time()) > 0 or not self._pace.delay_s:
                await asyncio.sleep(max(0.0, wait))
            await stage.chunk({field: piece})
            due += self._pace.delay_s


def _problem_of(body: Any) -> str | None:
    """What is wrong with a request, in a sentence."""
    if not isinstance(body, dict):
        return "We could not parse the JSON body of your request."
    if not isinstance(body.get("model"), str):
        return "you must provide a model parameter"
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        return "'messages' must be a non-empty array of objects."
    return None


def _refusal_of(body: Any) -> wire.Json | None:
    """What a reasoning model of OpenAI's does not take, in the words of its servers."""
    if (temperature := body.get("temperature")) not in (None, 1):
        said = f"'temperature' does not support {temperature} with this model. Only the default (1) value is supported."
        return wire.error("unsupported_value", f"Unsupported value: {said}", param="temperature")
    if body.get("max_tokens") is not None:
        said = "'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        return wire.error("unsupported_parameter", f"Unsupported parameter: {said}", param="max_tokens")
    for name in _NOT_BY_REASONING:
        if body.get(name) is not None:
            said = f"Unsupported parameter: '{name}' is not supported with this model."
            return wire.error("unsupported_parameter", said, param=name)
    return None
