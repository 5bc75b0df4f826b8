"""Fixtures that more than one suite uses."""

import gc
from collections.abc import Iterator

import hypothesis
import pytest

from functions.chat_stream import recorder
from functions.common.log import get_logger
from local.aws import embedded_aws
from local.model.pace import INSTANT
from tests.support import untraced
from tests.support.system import System, system


def pytest_configure() -> None:
    untraced.install()
    # A logger keeps the stdout that it was made with. Made within a test, that is the test's own, closed when it is over.
    for function in ("chat_stream", "persist", "conversations"):
        get_logger(function)
    # How long an example takes says more of the machine than of the code; pytest's own limit still holds for the whole test.
    hypothesis.settings.register_profile("any machine", deadline=None)
    hypothesis.settings.load_profile("any machine")


def pytest_collection_finish() -> None:
    """What was imported stays to the end: a million objects that no collection of garbage has to go through again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def aws_endpoint() -> Iterator[str]:
    """An embedded AWS for the whole session of this worker."""
    with embedded_aws() as endpoint:
        yield endpoint


@pytest.fixture
def brief_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a turn's end writes is given up soon: for tests in which it fails for good."""
    monkeypatch.setattr(recorder, "_LAST_WORDS_S", 0.6)


@pytest.fixture
def chat_system(aws_endpoint: str) -> Iterator[System]:
    """The streaming function, a scripted model and an empty AWS; persist runs when a test says so."""
    with system(aws_endpoint, INSTANT) as made:
        yield made
