"""The local system as a whole: which processes it is made of, in which order they begin and end."""

import asyncio
import errno
import json
import os
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from local import environment
from local.environment import Ports, Settings, Unusable
from local.log_lines import Log
from local.process import Process

if TYPE_CHECKING:
    from local.door import Door

_START_S: Final = 60.0
_END_S: Final = 8.0


class DidNotStart(Exception):
    """A part of the system ended or stayed silent while it was being started."""


class Supervisor:
    """Starts everything with `start`, keeps it running, ends it with `stop`."""

    def __init__(self, settings: Settings, env: Mapping[str, str], listener: socket.socket, log: Log) -> None:
        self._settings = settings
        self._listener = listener
        self._ports = ports = Ports.free(settings.chat_workers)
        base = environment.base(env, ports)
        model = environment.model_environment(env, ports, settings.provider)

        def process(name: str, module: str, port: int, more: Mapping[str, str] | None = None) -> Process:
            service = name.partition("-")[0]
            return Process(name, module, {**base, "PORT": str(port), "POWERTOOLS_SERVICE_NAME": service, **(more or {})}, log)

        self._aws = process("aws", "local.aws", ports.aws, {"CHAT_VISIBILITY_TIMEOUT_S": str(settings.visibility_timeout_s)})
        self._model = None if settings.provider else process("model", "local.model", ports.model, model)
        self._persist = process("persist", "local.pump", 0)
        self._conversations = process(
            "conversations", "local.lambda_url", ports.conversations, environment.conversations_environment(settings.strict_edge)
        )
        names = ["chat_stream"] if len(ports.chat) == 1 else [f"chat_stream-{number + 1}" for number in range(len(ports.chat))]
        self._chat = [process(name, "functions.chat_stream", port, model) for name, port in zip(names, ports.chat, strict=True)]
        self._chat_urls = [environment.endpoint(port) for port in ports.chat]
        # In the order of how long they take to start.
        others = (self._persist, self._model)
        self._processes = [one for one in (self._aws, *self._chat, self._conversations, *others) if one is not None]
        self._door: Door | None = None
        self._keeping: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        host, port = self._listener.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def describe(self) -> dict[str, Any]:
        """Where everything is, for tests."""
        return {
            "url": self.url,
            "aws": environment.endpoint(self._ports.aws),
            "chat": [{"url": url, "pid": one.pid} for url, one in zip(self._chat_urls, self._chat, strict=True)],
            "pids": {one.name: one.pid for one in self._processes},
        }

    async def start(self) -> None:
        """Returns when every part answers; raises DidNotStart."""
        for one in self._processes:
            await one.start()
        deaths = {asyncio.ensure_future(one.ended()): one for one in self._processes}
        answering = asyncio.ensure_future(self._all_answer())
        try:
            done, _ = await asyncio.wait({answering, *deaths}, timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
            if dead := [one.name for task, one in deaths.items() if task in done]:
                raise DidNotStart(f"{' and '.join(dead)} ended while starting; what was said is above.")
            if not done:
                waiting = [one.name for one in self._processes if not one.ready.is_set() and one not in self._chat]
                raise DidNotStart(f"{' and '.join(waiting) or 'chat_stream'} did not answer within {_START_S:g} s.")
            answering.result()
        finally:
            for task in (answering, *deaths):
                task.cancel()
        self._keeping = [asyncio.ensure_future(one.keep(self._restarted)) for one in self._processes if one is not self._aws]

    async def aws_lost(self) -> None:
        """Waits for the one end that cannot be mended: everything stored was in that process."""
        await self._aws.ended()

    async def stop(self) -> None:
        """Lets running turns end and be stored, then ends the rest."""
        await asyncio.gather(*(one.end(self._settings.grace_s) for one in self._chat))
        if self._door is not None:
            await self._door.close()
        # What the turns queued last is stored before the queue goes.
        await asyncio.gather(self._persist.end(_END_S), self._conversations.end(_END_S))
        await asyncio.gather(*(one.end(_END_S) for one in (self._model, self._aws) if one is not None))
        await asyncio.gather(*self._keeping)

    async def _all_answer(self) -> None:
        # Here, not above: these imports take as long as the processes do, and so go on beside them.
        from local.door import Door, until_healthy

        conversations, settings = environment.endpoint(self._ports.conversations), self._settings
        self._door = Door.open(
            self._listener, self._chat_urls, conversations, strict=settings.strict_edge, issuer=settings.issuer
        )
        await asyncio.gather(*(one.ready.wait() for one in self._processes if one not in self._chat))
        await until_healthy([*self._chat_urls, self.url])

    def _restarted(self) -> None:
        if self._settings.json_output:
            print(json.dumps(self.describe()), flush=True)


def listen(host: str, port: int) -> socket.socket:
    """The front's socket, taken before anything starts; raises Unusable when it is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = port + 1 if port < 65535 else 8080
            raise Unusable(f"Port {port} is taken: choose another with PORT={other} make run.") from error
        raise Unusable(f"Cannot listen on {host}, port {port}: {os.strerror(error.errno or 0)}.") from error
    # What it accepts takes this over; asyncio does it only for sockets it made. Without it, small pieces wait for an ACK: 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
