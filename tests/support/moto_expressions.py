"""moto's update expressions at the price of reading each text once.

moto (5.2) parses an expression up to three times a write, copies the tree node by node in Python to work on the copy, and asks
at each node of it, ten times over, of which abstract class it is. That took two thirds of a write's time. What is done to the
tree is moto's own still, and it is done to a copy, so the tree that is kept is never altered.
"""

import pickle
from collections.abc import Collection
from functools import cache, lru_cache
from typing import Any, Final

from moto.dynamodb.parsing import ast_nodes, expressions, validators

_MOST: Final = 512  # a program has few expressions; one made of values would fill the memory
# Modules without types, and one whose names are to be replaced.
_expressions: Any = expressions
_nodes: Any = ast_nodes
_validators: Any = validators


def install() -> None:
    """From here on every update expression of this process is read so."""
    parser = _expressions.UpdateExpressionParser
    if not hasattr(parser.make, "cache_info"):
        parser.make = lru_cache(_MOST)(parser.make)
    _validators.deepcopy = _copy
    _nodes.Node.find_clauses = _find_clauses
    _nodes.DepthFirstTraverser.traverse_node_recursively = _traverse


def _copy(tree: Any) -> Any:
    return pickle.loads(pickle.dumps(tree, pickle.HIGHEST_PROTOCOL))


@cache
def _is(kind: Any, *of: Any) -> bool:
    return issubclass(kind, of)


def _find_clauses(node: Any, kinds: Collection[type]) -> list[Any]:
    found = []
    for child in node.children or ():
        kind: Any = type(child)
        if kind in kinds:
            found.append(child)
        elif _is(kind, _nodes.Expression, _nodes.UpdateExpressionFunction):
            found.extend(child.find_clauses(kinds))
    return found


def _traverse(traverser: Any, node: Any, child_id: int = -1) -> Any:
    kind: Any = type(node)
    if not _is(kind, _nodes.Node):
        return node
    parent = node.parent
    for index, child in enumerate(node.children or ()):
        traverser.pre_processing_of_child(node, index)
        traverser.traverse_node_recursively(child, index)
    known = traverser.__dict__.setdefault("_known", {})
    if kind not in known:
        known[kind] = next((process for of, process in traverser._processing_map().items() if _is(kind, of)), None)
    if (process := known[kind]) is not None:
        node = process(node)
        node.parent = parent
        if parent:
            parent.children[child_id] = node
    return node
