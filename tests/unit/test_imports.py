"""The import rule of the house: entry → logic → ports; what the functions share is in `common`; importing does nothing.

Read from the syntax trees of all files, so an import inside a function or behind TYPE_CHECKING counts like any other.
"""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
PACKAGES: Final = ("functions", "infra", "local", "chat_cli")
OUTSIDE: Final = {"local", "infra", "tests", "chat_cli", "bench"}  # what no function may know
ENTRIES: Final = {"handler", "app", "__main__"}  # where a function begins: nothing else imports these
CLIENTS: Final = {"client", "resource", "Session", "OpenAI", "AsyncOpenAI"}  # what makes a connection to somewhere

FILES: Final = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if "node_modules" not in path.parts  # the CDK command line's templates
}
OF_FUNCTIONS: Final = sorted(name for name in FILES if name.startswith("functions."))


def imports(module: str, tree: ast.Module) -> Iterator[str]:
    """The dotted names a module imports; of `from a import b` both `a` and `a.b`, since `b` may be a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = module.split(".")[: -node.level] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)


def wrongly_known(module: str, tree: ast.Module) -> set[str]:
    """What a module under functions/ imports against the rule."""
    own = module.split(".")[1]
    wrong = set()
    for name in imports(module, tree):
        package, _, rest = name.partition(".")
        neighbour = rest.split(".")[0]
        if package in OUTSIDE or (package == "functions" and neighbour not in {"", own, "common"}):
            wrong.add(name)
    return wrong


def run_on_import(tree: ast.Module) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: all but the bodies of functions and the script part."""
    waiting: list[ast.AST] = [
        node for node in tree.body if not (isinstance(node, ast.If) and "__main__" in ast.unparse(node.test))
    ]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *(default for default in node.args.kw_defaults if default)]
        elif isinstance(node, ast.Lambda):
            waiting += node.args.defaults
        else:
            waiting += ast.iter_child_nodes(node)


def done_on_import(tree: ast.Module) -> list[str]:
    """Reads of the environment and clients made while the module is imported."""
    found = []
    for node in run_on_import(tree):
        name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
        if name in {"environ", "getenv"}:
            found.append(f"line {node.lineno}: {name}")  # type: ignore[attr-defined]
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in CLIENTS:
            found.append(f"line {node.lineno}: {ast.unparse(node.func)}()")
    return found


def inner_imports(function: str) -> dict[str, set[str]]:
    """Which of its own modules each module of a function imports."""
    modules = [name for name in OF_FUNCTIONS if name.startswith(f"functions.{function}.")]
    return {module: {name for name in imports(module, FILES[module]) if name in modules} for module in modules}


FUNCTIONS: Final = sorted({name.split(".")[1] for name in OF_FUNCTIONS} - {"__init__"})


def test_there_is_something_to_check() -> None:
    assert {"common", "chat_stream", "persist", "conversations"} <= set(FUNCTIONS)
    assert "chat_cli.chat" in FILES


@pytest.mark.parametrize("module", [name for name in OF_FUNCTIONS if name != "functions.__init__"])
def test_a_function_knows_itself_and_common_and_common_knows_no_function(module: str) -> None:
    assert wrongly_known(module, FILES[module]) == set()


@pytest.mark.parametrize("module", sorted(name for name in FILES if name.startswith("chat_cli")))
def test_the_terminal_client_knows_only_itself(module: str) -> None:
    """It is installed alone; what it shares with the functions are links to their files."""
    known = {name.split(".")[0] for name in imports(module, FILES[module])}
    assert known.isdisjoint({*PACKAGES, "tests", "bench"} - {"chat_cli"})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_imports_inside_a_function_go_one_way(function: str) -> None:
    try:
        TopologicalSorter(inner_imports(function)).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle: {' → '.join(reversed(error.args[1]))}")


@pytest.mark.parametrize("function", FUNCTIONS)
def test_nothing_imports_the_entry_of_a_function_but_another_entry(function: str) -> None:
    for module, known in inner_imports(function).items():
        if module.rpartition(".")[2] not in ENTRIES:
            assert {name for name in known if name.rpartition(".")[2] in ENTRIES} == set(), module


@pytest.mark.parametrize("module", sorted(FILES))
def test_importing_reads_no_environment_and_makes_no_client(module: str) -> None:
    assert done_on_import(FILES[module]) == []


@pytest.mark.parametrize("module", OF_FUNCTIONS)
def test_only_an_entry_reads_the_environment(module: str) -> None:
    mentions = {node.attr for node in ast.walk(FILES[module]) if isinstance(node, ast.Attribute)} & {"environ", "getenv"}
    assert not mentions or module.rpartition(".")[2] in ENTRIES


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("functions.common.keys", "from functions.persist import store"),
        ("functions.common.keys", "import functions.persist.store"),
        ("functions.persist.store", "from functions import chat_stream"),
        ("functions.persist.store", "from ..chat_stream import turn"),
        ("functions.persist.store", "def f():\n    import local.pump"),
        ("functions.persist.store", "from infra.resources import TURNS"),
    ],
)
def test_a_wrong_import_is_found(module: str, source: str) -> None:
    assert wrongly_known(module, ast.parse(source))


@pytest.mark.parametrize(
    "source", ["from functions.common import keys", "from . import store", "from .store import x", "import os"]
)
def test_a_right_import_is_let_through(source: str) -> None:
    assert wrongly_known("functions.persist.handler", ast.parse(source)) == set()


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import os\nTABLE = os.environ['TABLE']", True),
        ("from os import getenv\nclass A:\n    table = getenv('TABLE')", True),
        ("import boto3\nclient = boto3.client('sqs')", True),
        ("import boto3\ndef f(client=boto3.client('sqs')): ...", True),
        ("from openai import AsyncOpenAI\nif True:\n    model = AsyncOpenAI()", True),
        ("import boto3, os\ndef f():\n    return boto3.client(os.environ['X'])", False),
        ("import os\nif __name__ == '__main__':\n    print(os.environ)", False),
    ],
)
def test_what_importing_does_is_found(source: str, found: bool) -> None:
    assert bool(done_on_import(ast.parse(source))) is found
