"""SnapStart, played on the packaged function: the hooks, what they leave open, and that a restored function works."""

from pathlib import Path

import httpx2
import pytest

from functions.chat_stream.snapshot import AFTER, BEFORE
from tests.support.function.environment import Code, Function, running
from tests.support.function.turns import chat, kinds
from tests.support.function.world import MODEL_KEY, World


def post(function: Function, path: str) -> int:
    """A hook as the adapter calls it: an empty POST on loopback, with none of an invocation's headers."""
    return httpx2.post(function.environment.app_url + path, timeout=10).status_code


def test_before_a_snapshot_the_clients_are_made_and_no_connection_is_open(chat_code: Code, adapter: Path, world: World) -> None:
    with running(chat_code, adapter, world.env()) as function:
        assert kinds(chat(function, world))[-1] == "complete"
        assert function.environment.connections(), "a turn keeps connections for the next one"
        assert post(function, BEFORE) == 204
        assert function.environment.connections() == []
        assert post(function, AFTER) == 204
        assert kinds(chat(function, world))[-1] == "complete"


def test_a_function_that_was_never_called_can_be_snapshotted(chat_code: Code, adapter: Path, world: World) -> None:
    asked = world.issuer.hits.total()
    answered = len(world.model.requests)
    with running(chat_code, adapter, world.env()) as function:
        assert post(function, BEFORE) == 204
        assert function.environment.connections() == []
        assert world.issuer.hits.total() == asked, "keys are fetched after the restore"
        assert len(world.model.requests) == answered, "what is played to warm the client stays in the process"
        assert post(function, AFTER) == 204
        asked = world.issuer.hits.total()
        assert kinds(chat(function, world))[-1] == "complete"
        assert world.issuer.hits.total() == asked, "the first turn finds the keys fetched"
        assert world.model.requests[-1].headers["authorization"] == f"Bearer {MODEL_KEY}"


def test_the_real_adapter_calls_both_hooks_around_the_snapshot(chat_code: Code, adapter: Path, world: World) -> None:
    if b"AWS_LWA_SNAPSTART" not in adapter.read_bytes():
        pytest.skip("this adapter is older than 1.1.0, which brought the hooks; crates.io has none newer than 1.0.0-rc1")
    with running(chat_code, adapter, world.env(), wait=False) as function:
        assert function.api.asked_for_restore.wait(20), function.environment.output
        assert function.environment.connections() == []
        function.api.restore()
        assert kinds(chat(function, world))[-1] == "complete"
        assert function.api.restore_failed == []
