"""A package whose `__init__` only passes on names of its modules, written to import each when it is asked for (PEP 562).

`import openai` imports 470 modules of types, half of a cold start, of which a streaming relay asks for none. Any other
`__init__` stays as it is.
"""

import ast
from collections.abc import Mapping
from typing import Final, NamedTuple


class Place(NamedTuple):
    """Where a name comes from: a module, and the name there; without one it is the module itself."""

    module: str
    name: str | None


def passed_on(source: bytes, package: str) -> dict[str, Place] | None:
    """What a package's `__init__` passes on, by name; None when it does anything else."""
    places: dict[str, Place] = {}
    for node in ast.parse(source).body:
        match node:
            case ast.ImportFrom(module="__future__") | ast.Expr(value=ast.Constant()):
                pass
            case ast.ImportFrom(module=str(module), level=1, names=names):
                places |= {alias.asname or alias.name: Place(f"{package}.{module}", alias.name) for alias in names}
            case ast.ImportFrom(module=None, level=1, names=names):
                places |= {alias.asname or alias.name: Place(f"{package}.{alias.name}", None) for alias in names}
            case _:
                return None
    return None if "*" in places else places


_SOURCE: Final = """\
from importlib import import_module

_PLACES = {places!r}
__all__ = list(_PLACES)


def __getattr__(name):
    if name not in _PLACES:
        raise AttributeError(f"module {{__name__!r}} has no attribute {{name!r}}, or it was left out of this package")
    module, own = _PLACES[name]
    value = globals()[name] = import_module(module) if own is None else getattr(import_module(module), own)
    return value
"""


def written(places: Mapping[str, Place]) -> bytes:
    """The source of an `__init__` that passes the same names on."""
    return _SOURCE.format(places={name: tuple(place) for name, place in places.items()}).encode()
