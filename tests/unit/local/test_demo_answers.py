"""What the embedded model says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.model.answers import answer_to, count_tokens, tokens_of
from local.model.pace import Pace


def ask(text: object) -> str:
    return answer_to([{"role": "system", "content": "be brief"}, {"role": "user", "content": text}])


def test_a_request_for_code_gets_a_code_block_that_is_python() -> None:
    answer = ask("Write a python function that counts birds")
    code = answer.split("```python\n")[1].split("```")[0]
    compile(code, "answer", "exec")
    assert "birds" in code


def test_a_request_for_a_table_gets_a_table_whose_rows_agree() -> None:
    rows = [line for line in ask("compare tea and coffee in a table").splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert set(rows[1]) == {"|", "-"}


def test_a_request_for_steps_gets_a_list() -> None:
    assert "\n1. " in ask("Give me a list of ideas for a garden")


def test_a_greeting_gets_a_greeting() -> None:
    assert ask("hi").startswith("Hello!")


@pytest.mark.parametrize(
    "content", ["", None, 7, [{"type": "text", "text": "Tell me about whales"}], "{braces} {0}", "日本の歴史"]
)
def test_any_content_gets_an_answer(content: object) -> None:
    assert ask(content)


def test_content_in_parts_is_read() -> None:
    assert "whales" in ask([{"type": "text", "text": "Tell me about whales"}])


@given(st.text())
def test_the_tokens_of_a_text_add_up_to_it(text: str) -> None:
    assert "".join(tokens_of(text)) == text


@given(st.integers(min_value=1, max_value=300))
def test_there_are_exactly_as_many_tokens_as_asked_for(count: int) -> None:
    tokens = tokens_of("Hello there, you.", count)
    assert len(tokens) == count
    assert all(tokens)


def test_a_longer_prompt_costs_more() -> None:
    short, long = [{"role": "user", "content": "hi"}], [{"role": "user", "content": "hi there, how are you?"}]
    assert count_tokens(long) > count_tokens(short) > 0


def test_the_pace_is_read_from_the_environment() -> None:
    assert Pace.from_env({"FAKE_LLM_TTFT_MS": "1000", "FAKE_LLM_DELAY_MS": "5", "FAKE_LLM_TOKENS": "9"}) == Pace(1.0, 0.005, 9)
    assert Pace.from_env({}) == Pace(0.3, 0.02, None)


def test_a_pace_of_zero_means_no_waiting() -> None:
    assert Pace.from_env({"FAKE_LLM_TTFT_MS": "0", "FAKE_LLM_DELAY_MS": "0"}) == Pace(0, 0, None)
