"""Keys: text sorts as the numbers in it do, and no two things share a key, whatever a user is called."""

from hypothesis import assume, given
from hypothesis import strategies as st

from functions.common import keys

IDS = st.uuids().map(str)
USERS = st.text(min_size=1, max_size=40)
DEPTHS = st.integers(min_value=0, max_value=keys.MAX_DEPTH)


@given(DEPTHS, DEPTHS, IDS, IDS)
def test_messages_sort_by_their_depth(one: int, other: int, id_of_one: str, id_of_other: str) -> None:
    assume(one < other)
    assert keys.message_sk(one, id_of_one) < keys.message_sk(other, id_of_other)


@given(DEPTHS, IDS)
def test_a_messages_sort_key_says_its_depth_and_id(depth: int, message_id: str) -> None:
    assert keys.parse_message_sk(keys.message_sk(depth, message_id)) == (keys.order_key(depth), message_id)


@given(st.text(max_size=60))
def test_what_is_read_as_a_messages_sort_key_is_one(text: str) -> None:
    try:
        order, message_id = keys.parse_message_sk(text)
    except ValueError:
        return
    assert keys.message_sk(int(order), message_id) == text


@given(st.integers(1, 99_999_999), st.integers(1, 99_999_999))
def test_checkpoints_sort_by_their_first_event_and_before_all_else_of_the_turn(one: int, other: int) -> None:
    assume(one < other)
    assert keys.events_sk(one) < keys.events_sk(other) < min(keys.RECEIPT, keys.STOP, keys.TURN)


@given(st.tuples(IDS, USERS), st.tuples(IDS, USERS))
def test_no_two_users_or_turns_share_a_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assume(one != other)
    assert keys.turn_pk(*one) != keys.turn_pk(*other)


@given(IDS, USERS, IDS)
def test_what_a_user_is_called_leads_to_no_other_kind_of_item(turn_id: str, user: str, conversation_id: str) -> None:
    found = {keys.turn_pk(turn_id, user), keys.user_pk(user), keys.conversation_pk(conversation_id)}
    assert len(found) == 3


@given(USERS, st.dates().map(str), IDS)
def test_a_turn_finds_its_own_share_of_a_day_again(user: str, day: str, turn_id: str) -> None:
    key = keys.usage_key(user, day, turn_id)
    assert key == keys.usage_key(user, day, turn_id)
    assert f"{keys.USAGE_PREFIX}{day}#00" <= key.sk <= f"{keys.USAGE_PREFIX}{day}#{keys.USAGE_SHARDS - 1:02d}"
