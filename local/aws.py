"""The embedded AWS with the tables and the queue in it, as a process of its own (`python -m local.aws`).

It keeps everything in memory, so its state lives as long as the process.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from infra.resources import CONVERSATIONS, PERSIST, TURNS
from local.aws_server import Server
from local.child import say_ready, wait_for_the_end
from local.clients import client
from local.resources import create_queue, create_table


@contextmanager
def embedded_aws(port: int = 0, faulty: bool = False) -> Iterator[str]:
    """An empty embedded AWS on loopback in a thread of this process; gives its endpoint URL."""
    server = Server(port, faulty)
    server.start()
    try:
        yield server.url
    finally:
        server.stop()


def create_resources(endpoint_url: str, visibility_timeout_s: int) -> None:
    """The two tables and the queue with its dead-letter queue."""
    dynamodb = client("dynamodb", endpoint_url)
    for table in (CONVERSATIONS, TURNS):
        create_table(dynamodb, table)
    create_queue(client("sqs", endpoint_url), PERSIST, visibility_timeout_s=visibility_timeout_s)


def main(env: Mapping[str, str]) -> None:
    with embedded_aws(int(env["PORT"]), faulty=bool(env.get("CHAT_EMBEDDED_AWS_FAULTS"))) as endpoint_url:
        create_resources(endpoint_url, int(env["CHAT_VISIBILITY_TIMEOUT_S"]))
        say_ready()
        wait_for_the_end()
        os._exit(0)  # nothing outlives this process, so nothing needs half a second to be closed


if __name__ == "__main__":
    main(os.environ)
