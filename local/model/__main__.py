"""`python -m local.model`: the embedded model, on PORT."""

import asyncio
import os
import signal
from collections.abc import Mapping

from local.child import say_ready
from local.model.pace import Pace
from local.model.server import ModelServer, listen


async def main(env: Mapping[str, str]) -> None:
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    names = [name.strip() for name in (env.get("MODELS") or env.get("DEFAULT_MODEL") or "demo").split(",") if name.strip()]
    listener = listen(int(env["PORT"]))
    say_ready()  # the socket takes connections from here on
    await ModelServer(Pace.from_env(env), models=names).run(listener, end)


if __name__ == "__main__":
    asyncio.run(main(os.environ))
