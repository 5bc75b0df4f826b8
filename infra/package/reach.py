"""Which modules of a bundle its entries can import: read from the syntax trees, as far as imports lead inside the bundle.

What is counted errs on the side of keeping: an import inside a function, behind a condition or in a `try` counts, and so does a
text that names a module of the bundle (how packages write their lazy imports). Only `if TYPE_CHECKING:` does not.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final, NamedTuple

from infra.package.lazy import Place, passed_on

_DOTTED: Final = re.compile(r"\.*[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:\w+)?")


class Bundle:
    """The modules under a folder, by their dotted names.

    `lazy` are packages that, with those below them, are going to import what they pass on when it is asked for (lazy.py): to
    import such a package reaches nothing, to import a name from it reaches where that comes from. `passing_on` has their names.
    """

    def __init__(self, root: Path, lazy: Iterable[str] = ()) -> None:
        self._files = {_name(path.relative_to(root)): path for path in _modules(root)}
        self._packages = {parent for name in self._files for parent in _parents(name)}
        self.passing_on: dict[str, dict[str, Place]] = {
            name: places
            for name, path in self._files.items()
            if path.name == "__init__.py" and any(f"{name}.".startswith(f"{package}.") for package in lazy)
            if (places := passed_on(path.read_bytes(), name))
        }

    def children(self, package: str) -> list[str]:
        """The modules directly below a package."""
        below = {name for name in self._files if name.rpartition(".")[0] == package}
        return sorted(below)

    def reached(
        self, entries: Iterable[str], never: Collection[str] = (), hidden: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> dict[str, Path]:
        """The modules that the entries can import, the entries included; raises LookupError for an entry that is not there.

        `never` are modules (with all below them) that the caller knows no code path of its own imports; `hidden` is what a
        module imports without saying so in its source.
        """
        found: dict[str, Path] = {}
        waiting = list(entries)
        if missing := [name for name in waiting if name not in self._files]:
            raise LookupError(f"not in the bundle: {', '.join(missing)}")
        while waiting:
            name = waiting.pop()
            if name in found or name not in self._files or any(name == cut or name.startswith(f"{cut}.") for cut in never):
                continue
            path = found[name] = self._files[name]
            waiting += _parents(name)
            waiting += hidden.get(name, ())
            if path.suffix == ".py" and name not in self.passing_on:
                waiting += self._imported(name, path)
        return found

    def _imported(self, name: str, path: Path) -> Iterator[str]:
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for fact in _facts(path.read_bytes()):
            if isinstance(fact, str):
                yield from self._named(fact.partition(":")[0], package, lazily=path.name == "__init__.py")
                continue
            source = _absolute(fact, package)
            yield from self._longest(source)
            for imported in fact.names:
                yield from self._from(source, imported)

    def _from(self, source: str, name: str) -> Iterator[str]:
        """The modules behind `from source import name`."""
        yield from self._longest(f"{source}.{name}")
        if place := self.passing_on.get(source, {}).get(name):
            yield from self._longest(place.module)
            if place.name is not None:
                yield from self._from(place.module, place.name)

    def _longest(self, name: str) -> Iterator[str]:
        """The module itself, or the part of the name that is one."""
        while name and name not in self._files and name not in self._packages:
            name = name.rpartition(".")[0]
        if name:
            yield name

    def _named(self, text: str, package: str, lazily: bool) -> Iterator[str]:
        """The module a text names: from the package on when it begins with a dot, absolutely when it has one inside.

        A single word counts only in a package's `__init__`, where a table of lazy names stands.
        """
        if text.startswith("."):
            level = len(text) - len(text.lstrip("."))
            base = package.rsplit(".", level - 1)[0] if level > 1 else package
            yield from self._longest(f"{base}.{text.lstrip('.')}")
        elif "." in text:
            yield from self._longest(text)
        elif lazily:
            yield f"{package}.{text}"


class _Import(NamedTuple):
    """`from ..module import names`, where each dot is a level; `import module` has no names."""

    module: str
    level: int = 0
    names: tuple[str, ...] = ()


@cache  # the same libraries are in several bundles, and walking a thousand trees takes seconds
def _facts(source: bytes) -> tuple[_Import | str, ...]:
    """The imports of a module, and the texts in it that may name one. Leaves out what only a type checker or a reader sees."""
    facts: dict[_Import | str, None] = {}
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        match node:
            case ast.Import():
                facts |= dict.fromkeys(_Import(alias.name) for alias in node.names)
            case ast.ImportFrom():
                facts[_Import(node.module or "", node.level, tuple(alias.name for alias in node.names))] = None
            case ast.Constant(value=str(text)):
                if _DOTTED.fullmatch(text):
                    facts[text] = None
            case ast.Expr(value=ast.Constant()):
                pass  # a docstring
            case ast.If() if _is_type_checking(node.test):
                waiting += node.orelse
            case _:
                waiting += ast.iter_child_nodes(node)
    return tuple(facts)


def _is_type_checking(test: ast.expr) -> bool:
    return (test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else "") == "TYPE_CHECKING"


def _absolute(fact: _Import, package: str) -> str:
    if not fact.level:
        return fact.module
    base = package.rsplit(".", fact.level - 1)[0] if fact.level > 1 else package
    return f"{base}.{fact.module}" if fact.module else base


def _modules(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix in {".py", ".so"} and all(part.isidentifier() for part in path.relative_to(root).parent.parts):
            yield path


def _name(path: Path) -> str:
    parts = [*path.parent.parts, path.name.partition(".")[0]]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition(".")[0]:
        yield name
