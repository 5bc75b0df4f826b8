"""`python -m local`: starts the local system, says where it is, and ends it on Ctrl-C or SIGTERM.

With `--json` standard output says where every part is, one JSON object when ready and after each restart: that is for tests.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from typing import Final

from functions.common.variables import unknown
from local.environment import Settings, Unusable
from local.log_lines import Log
from local.supervisor import DidNotStart, Supervisor, listen

_FAILED: Final = 1
_UNUSABLE: Final = 2
_INTERRUPTED: Final = 130
_SAME_S: Final = 0.5  # a terminal and a program in between may each pass on the same Ctrl-C


async def run(settings: Settings, env: Mapping[str, str], log: Log) -> int:
    """The whole life of the system; returns the exit code."""
    began = time.monotonic()
    listener = listen(settings.host, settings.port)
    end = _ending(log)
    model = "your provider answers" if settings.provider else "the embedded model answers; set OPENAI_API_KEY for a real one"
    log.say(f"starting: embedded AWS, {settings.chat_workers} chat_stream, persist, conversations ({model})")
    system = Supervisor(settings, env, listener, log)
    asked, starting = asyncio.ensure_future(end.wait()), asyncio.ensure_future(system.start())
    code = 0
    try:
        await asyncio.wait({asked, starting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            _announce(system, settings, log, time.monotonic() - began)
            lost = asyncio.ensure_future(system.aws_lost())
            await asyncio.wait({asked, lost}, return_when=asyncio.FIRST_COMPLETED)
            if lost.done():
                log.say("the embedded AWS ended, and with it everything stored; ending the rest", "ERROR")
                code = _FAILED
            lost.cancel()
    except DidNotStart as reason:
        log.say(str(reason), "ERROR")
        code = _FAILED
    asked.cancel()
    starting.cancel()
    await asyncio.gather(asked, starting, return_exceptions=True)
    await system.stop()
    log.say("ended")
    return code


def _announce(system: Supervisor, settings: Settings, log: Log, took_s: float) -> None:
    log.say(f"ready in {took_s:.1f} s; what you store lasts as long as this process; Ctrl-C ends it")
    if settings.json_output:
        print(json.dumps(system.describe()), flush=True)
    else:
        print(f"Open {system.url}", flush=True)


def _ending(log: Log) -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM. A later Ctrl-C ends this process at once, and its end ends the others."""
    loop, end = asyncio.get_running_loop(), asyncio.Event()
    asked_at = 0.0

    def asked(number: int) -> None:
        nonlocal asked_at
        if not end.is_set():
            log.say("ending what runs and storing it; Ctrl-C again ends at once")
            asked_at = loop.time()
            end.set()
        elif number == signal.SIGINT and loop.time() - asked_at > _SAME_S:
            os._exit(_INTERRUPTED)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked, number)
    return end


def main() -> None:
    log = Log()
    try:
        for found in unknown(os.environ):
            log.say(str(found), "WARNING")
        settings = Settings.from_env(os.environ, json_output="--json" in sys.argv[1:])
        sys.exit(asyncio.run(run(settings, os.environ, log)))
    except Unusable as reason:
        print(reason, file=sys.stderr)
        sys.exit(_UNUSABLE)


if __name__ == "__main__":
    main()
