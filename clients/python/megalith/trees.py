"""Nested dicts, lists, tuples and named tuples as JSON; leaves in JAX's order."""

import collections
from typing import Any, Iterator, List

from megalith.errors import invalid


def describe(tree: Any, where: str) -> Any:
    """What to store of a tree: its containers, with "*" for every leaf."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        keys = list(tree) if isinstance(tree, collections.OrderedDict) else _sorted(tree, where)
        if not all(isinstance(k, (str, int)) and not isinstance(k, bool) for k in keys):
            raise invalid(f"{where} is a dict with keys other than text and numbers, which a file cannot hold")
        kind = "ordered_dict" if isinstance(tree, collections.OrderedDict) else "dict"
        return {kind: [[k, describe(tree[k], f"{where}[{k!r}]")] for k in keys]}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return {"named_tuple": type(tree).__name__, "fields": list(tree._fields),
                "items": [describe(v, f"{where}.{f}") for f, v in zip(tree._fields, tree)]}
    if isinstance(tree, (list, tuple)):
        kind = "list" if isinstance(tree, list) else "tuple"
        return {kind: [describe(v, f"{where}[{i}]") for i, v in enumerate(tree)]}
    return "*"


def flatten(tree: Any, shape: Any, where: str) -> List[Any]:
    """The leaves of a tree that has the described shape. Named tuples may be of any class with these fields."""
    if shape == "*":
        return [tree]
    if shape is None:
        if tree is not None:
            raise invalid(f"{where} is to be None, got {type(tree).__name__}")
        return []
    items = next((shape[k] for k in ("dict", "ordered_dict") if k in shape), None)
    if items is not None:
        names = [k for k, _ in items]
        if not isinstance(tree, dict) or set(tree) != set(names):
            got = f"keys {sorted(map(str, tree))}" if isinstance(tree, dict) else type(tree).__name__
            raise invalid(f"{where} is to be a dict with keys {names}, got {got}")
        return [leaf for k, inner in items for leaf in flatten(tree[k], inner, f"{where}[{k!r}]")]
    inner_shapes = _items(shape)
    wanted = list if "list" in shape else tuple
    if not isinstance(tree, wanted) or len(tree) != len(inner_shapes):
        got = f"{len(tree)} of them" if isinstance(tree, wanted) else f"a {type(tree).__name__}"
        raise invalid(f"{where} is to be a {wanted.__name__} of {len(inner_shapes)}, got {got}")
    return [leaf for i, (v, inner) in enumerate(zip(tree, inner_shapes)) for leaf in flatten(v, inner, f"{where}[{i}]")]


def unflatten(leaves: Iterator[Any], shape: Any) -> Any:
    """The tree with these leaves. A named tuple comes back as one of the same name and fields."""
    if shape == "*":
        return next(leaves)
    if shape is None:
        return None
    if "dict" in shape:
        return {k: unflatten(leaves, inner) for k, inner in shape["dict"]}
    if "ordered_dict" in shape:
        return collections.OrderedDict((k, unflatten(leaves, inner)) for k, inner in shape["ordered_dict"])
    values = [unflatten(leaves, inner) for inner in _items(shape)]
    if "named_tuple" in shape:
        return collections.namedtuple(shape["named_tuple"], shape["fields"])(*values)
    return values if "list" in shape else tuple(values)


def refill(leaves: Iterator[Any], tree: Any) -> Any:
    """`tree` with other leaves; named tuples keep their class."""
    if tree is None:
        return None
    if isinstance(tree, collections.OrderedDict):
        return collections.OrderedDict((k, refill(leaves, v)) for k, v in tree.items())
    if isinstance(tree, dict):
        return {k: refill(leaves, tree[k]) for k in sorted(tree)}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(refill(leaves, v) for v in tree))
    if isinstance(tree, (list, tuple)):
        values = [refill(leaves, v) for v in tree]
        return values if isinstance(tree, list) else tuple(values)
    return next(leaves)


def count(shape: Any) -> int:
    """How many leaves a described tree has. Raises MegalithError for what describe() does not write."""
    if shape == "*":
        return 1
    if shape is None:
        return 0
    if not isinstance(shape, dict):
        raise invalid("a tree holds containers and '*'")
    for kind in ("dict", "ordered_dict"):
        if kind in shape:
            if not all(isinstance(e, list) and len(e) == 2 and isinstance(e[0], (str, int)) for e in shape[kind]):
                raise invalid("a dict of a tree holds pairs of key and tree")
            return sum(count(inner) for _, inner in shape[kind])
    if "named_tuple" in shape:
        names = [shape["named_tuple"], *shape.get("fields", [])]
        if not all(isinstance(n, str) and n.isidentifier() for n in names) or len(names) != len(_items(shape)) + 1:
            raise invalid("a named tuple of a tree has a name, fields, and as many items")
    return sum(map(count, _items(shape)))


def _items(shape: Any) -> List[Any]:
    for kind in ("list", "tuple", "items"):
        if isinstance(shape.get(kind), list):
            return list(shape[kind])
    raise invalid(f"a tree holds {sorted(shape)}, which is no container")


def _sorted(tree: dict, where: str) -> List[Any]:
    try:
        return sorted(tree)
    except TypeError:
        raise invalid(f"{where} is a dict whose keys have no order") from None
