"""Cursors: what goes in comes out, and nothing else does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.common import keys, times
from functions.common.problems import InvalidRequest
from functions.conversations import cursors

IDS = st.uuids().map(str)
DEPTHS = st.integers(min_value=0, max_value=keys.MAX_DEPTH)
ACTIVITIES = st.builds(keys.activity, st.floats(min_value=0, max_value=4e9).map(times.iso), IDS)


@given(ACTIVITIES)
def test_an_activity_comes_back(activity: str) -> None:
    assert cursors.to_activity(cursors.of_activity(activity)) == activity


@given(DEPTHS, IDS)
def test_a_messages_sort_key_comes_back(depth: int, message_id: str) -> None:
    sort_key = keys.message_sk(depth, message_id)
    assert cursors.to_message(cursors.of_message(sort_key)) == sort_key


@given(ACTIVITIES, DEPTHS, IDS)
def test_a_cursor_of_one_kind_is_none_of_the_other(activity: str, depth: int, message_id: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.to_message(cursors.of_activity(activity))
    with pytest.raises(InvalidRequest):
        cursors.to_activity(cursors.of_message(keys.message_sk(depth, message_id)))


@given(st.one_of(st.text(max_size=100), st.binary(max_size=100).map(lambda raw: base64.urlsafe_b64encode(raw).decode())))
def test_whatever_is_sent_is_a_message_of_a_partition_or_refused(cursor: str) -> None:
    try:
        sort_key = cursors.to_message(cursor)
    except InvalidRequest as refused:
        named = [field.field for field in refused.fields]
    else:
        keys.parse_message_sk(sort_key)  # raises when it is no message's
        return
    assert named == ["cursor"]


@given(ACTIVITIES)
def test_a_cursor_fits_a_url_as_it_is(activity: str) -> None:
    cursor = cursors.of_activity(activity)
    assert len(cursor) < 100
    assert cursor.replace("-", "").replace("_", "").isalnum()
