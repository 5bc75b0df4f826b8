"""Run by bytecode.py under Lambda's Python: compiles the bundle given, in one order, so that the same files give the same bytes.

The byte code takes its source's place: both together do not fit the size we allow a zip, and Lambda's console shows no source of
a zip above 3 MB anyway. A library's docstrings, a seventh of it, go too; its asserts stay, which `-OO` would drop as well.
"""

import ast
import importlib.util
import marshal
import sys
from pathlib import Path

_UNCHECKED_HASH = (0b01).to_bytes(4, "little")  # PEP 552: hash-based, never checked against the source
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def main(bundle: Path, own: str) -> None:
    for path in sorted(bundle.rglob("*.py")):
        name = path.relative_to(bundle)
        source = path.read_bytes()
        tree = ast.parse(source)
        if name.parts[0] != own:  # ours stay: they are the API document's descriptions
            _strip_docstrings(tree)
        code = compile(tree, f"/var/task/{name}", "exec", dont_inherit=True, optimize=0)
        header = importlib.util.MAGIC_NUMBER + _UNCHECKED_HASH + importlib.util.source_hash(source)
        path.with_suffix(".pyc").write_bytes(header + marshal.dumps(code))
        path.unlink()


def _strip_docstrings(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body[:1] = [] if len(node.body) > 1 else [ast.copy_location(ast.Pass(), node.body[0])]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
