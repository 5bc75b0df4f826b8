"""Buds: the assistants on offer, one TOML file each, checked when the function starts.

A bud's system prompts go to the model and nowhere else: no route, event, record or log line holds them.
"""

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from functions.chat_stream.asking import MAX_TOKENS
from functions.chat_stream.settings import ModelSettings
from functions.common.api import DEFAULT_BUD

FOLDER: Final = Path(__file__).parent / "buds"
_ID = r"^[a-z0-9][a-z0-9-]{0,63}$"

_PARAMETERS: Final = {
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "max_output_tokens",
    "reasoning_effort",
}
_WIRE_NAME: Final = {"max_output_tokens": MAX_TOKENS}

_Text = Annotated[str, Field(min_length=1, max_length=32_000)]


class Bud(BaseModel):
    """One assistant.

    `models` empty means every model of the settings, `default_model` absent means theirs. `allow_client_system` says whether a
    client may send system messages of its own. The parameters are wishes: a model that does not take one is asked without it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    id: Annotated[str, Field(pattern=_ID)]
    name: Annotated[str, Field(min_length=1, max_length=80)]
    description: Annotated[str, Field(max_length=400)] = ""
    greeting: Annotated[str, Field(max_length=2_000)] = ""
    avatar: Annotated[str, Field(max_length=16)] = ""
    system: tuple[_Text, ...] = ()
    models: tuple[_Text, ...] = ()
    default_model: str | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    max_output_tokens: Annotated[int, Field(gt=0)] | None = None
    reasoning_effort: Annotated[str, Field(min_length=1, max_length=20)] | None = None
    allow_client_system: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """What the model is asked for besides its answer, by OpenAI's names."""
        given = self.model_dump(include=_PARAMETERS, exclude_none=True)
        return {_WIRE_NAME.get(name, name): value for name, value in given.items()}

    def public(self) -> dict[str, Any]:
        """What clients may see of it."""
        return self.model_dump(include={"id", "name", "description", "greeting", "avatar"}) | {"models": list(self.models)}


class InvalidBud(ValueError):
    """A bud's file is not right; says which and why. The function does not start with it."""


def load(folder: Path, models: ModelSettings) -> Mapping[str, Bud]:
    """Every bud of the folder by id, its models filled in from the settings; raises InvalidBud."""
    buds = {bud.id: bud for bud in _read(sorted(folder.glob("*.toml")), models)}
    if DEFAULT_BUD not in buds:
        raise InvalidBud(f"{folder / (DEFAULT_BUD + '.toml')} is missing")
    return buds


def _read(paths: Iterable[Path], models: ModelSettings) -> Iterable[Bud]:
    for path in paths:
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            bud = Bud.model_validate_json(_json({"id": path.stem, **raw}))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidBud(f"{path}: {error}") from error
        except ValidationError as error:
            wrong = error.errors()[0]
            raise InvalidBud(f"{path}: {'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from error
        yield _with_models(path, bud, models)


def _json(raw: Mapping[str, Any]) -> str:
    import json  # at start only

    return json.dumps(raw, default=str)


def _with_models(path: Path, bud: Bud, models: ModelSettings) -> Bud:
    offered = bud.models or models.offered
    default = bud.default_model or (models.default if models.default in offered else offered[0])
    if default not in offered:
        raise InvalidBud(f"{path}: default_model {default!r} is not one of its models")
    return bud.model_copy(update={"models": (default, *(name for name in offered if name != default)), "default_model": default})
