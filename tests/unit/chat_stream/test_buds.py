"""Buds: every shipped file is right, a wrong one stops the start with its name, and prompts never leave."""

from pathlib import Path

import pytest

from functions.chat_stream.buds import FOLDER, InvalidBud, load
from functions.chat_stream.settings import ModelSettings

MODELS = ModelSettings("http://m", "sk", None, "small", ("small", "large"))
PLAIN = 'name = "Plain"\n'


def folder(path: Path, **files: str) -> Path:
    for name, text in {"default": PLAIN, **files}.items():
        (path / f"{name}.toml").write_text(text, encoding="utf-8")
    return path


def test_the_shipped_buds_are_right_and_have_prompts_and_greetings() -> None:
    buds = load(FOLDER, MODELS)

    assert {"default", "coder", "editor"} <= buds.keys()
    for bud in buds.values():
        assert bud.system
        assert bud.greeting
        assert bud.avatar


def test_what_clients_see_holds_no_prompt(tmp_path: Path) -> None:
    buds = load(folder(tmp_path, coder=PLAIN + 'system = ["a secret prompt"]\ntemperature = 0.1'), MODELS)

    assert buds["coder"].public() == {
        "id": "coder", "name": "Plain", "description": "", "greeting": "", "avatar": "", "models": ["small", "large"],
    }  # fmt: skip


def test_a_bud_without_models_offers_the_settings_default_first(tmp_path: Path) -> None:
    assert load(folder(tmp_path), MODELS)["default"].models == ("small", "large")


def test_a_bud_may_have_models_of_its_own(tmp_path: Path) -> None:
    buds = load(folder(tmp_path, own=PLAIN + 'models = ["x", "y"]\ndefault_model = "y"'), MODELS)

    assert (buds["own"].models, buds["own"].default_model) == (("y", "x"), "y")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = ", "own.toml"),
        ("", "own.toml: name"),
        ("name = 7", "own.toml: name"),
        (PLAIN + "prompt = 'x'", "own.toml: prompt"),
        (PLAIN + "temperature = 3.0", "own.toml: temperature"),
        (PLAIN + "system = ['']", r"own.toml: system"),
        (PLAIN + "models = ['x']\ndefault_model = 'y'", "own.toml: default_model"),
    ],
)
def test_a_wrong_file_stops_the_start_and_is_named(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(InvalidBud, match=says):
        load(folder(tmp_path, own=text), MODELS)


def test_a_file_name_that_is_no_id_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidBud, match="id"):
        load(folder(tmp_path, **{"Not An Id": PLAIN}), MODELS)


def test_the_default_bud_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidBud, match=r"default\.toml"):
        load(tmp_path, MODELS)
