"""What a deployment does to a stream that runs: it is held open until another version is live, and what became of it is told."""

import json
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import httpx2

from functions.common.ids import new_id
from infra.smoke.site import Failed, NotChecked, Seen, Site

LONG_QUESTION: Final = (
    "Write the numbers from 1 to 3000 in words, one per line, and write nothing else. Do not stop before the end."
)
_PAUSE_S: Final = 5.0  # between two questions about the version
_STORED_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Version:
    """The version behind the URL, and whether an older one is still there, asked of the account."""

    live: Callable[[], str]
    exists: Callable[[str], bool]


def across_a_deployment(site: Site, version: Version, wait_s: float, pause_s: float = _PAUSE_S) -> str:
    """Streams until another version is live and the stream of that moment has ended. Raises Failed when that one was cut."""
    before = version.live()
    print(  # noqa: T201 - for a person, who has to act now
        f"     now:  version {before} is live, and a stream is held open. Deploy now, in another terminal; a version comes by:\n"
        f"           make deploy ARGS='-c modelKeyRevision={new_id()[:8]}'",
        flush=True,
    )
    ends = time.monotonic() + wait_s
    with ThreadPoolExecutor(max_workers=1) as threads:
        while time.monotonic() < ends:
            turn_id = new_id()
            running = threads.submit(_stream, site, turn_id)
            after = _watch(running, version, before, pause_s)
            if after is not None:
                return _verdict(site, turn_id, running.result(), f"version {after[0]} went live", after[1], version, before)
            running.result()  # it ended before anything changed: a new one
    raise NotChecked(f"no other version was live after {wait_s:.0f} s")


@dataclass
class _Ended:
    seen: Seen
    broken: str | None
    at: float


def _stream(site: Site, turn_id: str) -> _Ended:
    """One long turn, read to its end or to where it was broken off."""
    seen = Seen()

    def heard(so_far: Seen) -> None:
        nonlocal seen
        seen = so_far

    try:
        seen = site.turn(LONG_QUESTION, turn_id, heard)
    except httpx2.TransportError as error:
        return _Ended(seen, type(error).__name__, time.monotonic())
    return _Ended(seen, None, time.monotonic())


def _watch(running: "Future[_Ended]", version: Version, before: str, pause_s: float) -> tuple[str, float] | None:
    """The version that went live while the stream ran, and when that was seen; None when the stream ended first."""
    while not running.done():
        if (live := version.live()) != before:
            return live, time.monotonic()
        time.sleep(pause_s)
    return None


def _verdict(site: Site, turn_id: str, ended: _Ended, what: str, at: float, version: Version, before: str) -> str:
    told = f"{what}; the stream ended {ended.at - at:.1f} s later"
    told += f", broken off ({ended.broken})" if ended.broken else f" with {json.dumps(ended.seen.last)[:160]}"
    told += f"; version {before} {'is still there' if version.exists(before) else 'is deleted'}"
    status = _status(site, turn_id)
    told += f"; the turn is {status}"
    if status not in {"complete", "truncated"}:
        raise Failed(told)
    return told


def _status(site: Site, turn_id: str) -> str:
    """How the turn stands once it is over, by `GET /api/turns/{id}`; a reader whose stream broke asks the same."""
    end = time.monotonic() + _STORED_S
    while True:
        answer = site.ask("GET", f"/api/turns/{turn_id}", site.token)
        status = str(answer.json()["status"]) if answer.status_code == 200 else f"unknown ({answer.status_code})"
        if status != "streaming" or time.monotonic() > end:
            return status
        time.sleep(1.0)
