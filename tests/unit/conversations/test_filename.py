"""File names from titles in any script: whole characters, nothing that a system or a header forbids, at most 255 bytes."""

from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from functions.common.cutting import cut
from functions.conversations.filename import attachment, stem
from tests.support import titles

NAMED = [case for case in titles.cases() if case.file is not None]


@pytest.mark.parametrize("case", NAMED, ids=lambda case: case.why)
def test_a_file_is_named_by_its_title(case: titles.Case) -> None:
    assert stem(case.text.splitlines()[0].strip(), "conversation") == case.file


@given(st.text(max_size=200))
@example("\ud800")
@example("\x85name\u2029")
@example("CON")
@example("😀" * 100)
def test_any_title_gives_a_header_and_a_name_that_every_system_takes(title: str) -> None:
    value = attachment(title, "conversation", ".json")
    assert value.isascii()
    assert value.isprintable()
    plain, _, encoded = value.removeprefix('attachment; filename="').partition('"')
    for name in (plain, unquote(encoded.removeprefix("; filename*=UTF-8''"))):
        assert not set(name) & set('<>:"/\\|?*\r\n\0')
        assert len(name.encode()) <= 255
    assert plain.endswith(".json")


def test_what_is_longer_than_all_there_is_room_for_is_cut_all_the_same() -> None:
    assert cut("e" + "\u0301" * 100, 60) == "e" + "\u0301" * 59
