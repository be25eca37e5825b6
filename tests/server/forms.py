"""Whether what a server says is of the form that the methods declare."""

from sandbox.server.shapes import SHAPES, Shape

__all__ = ["complaints", "complaints_of_a_map", "form"]

KINDS = {
    "text": str,
    "data": bytes,
    "integer": int,
    "number": int | float,
    "flag": bool,
    "map": dict,
}


def complaints(value, kind, place="answer", shapes=SHAPES):
    """Where `value` is not of this kind, in words."""
    if kind.endswith(" or nil"):
        return (
            [] if value is None else complaints(value, kind.removesuffix(" or nil"), place, shapes)
        )
    if kind in shapes:
        return complaints_of_a_map(value, shapes[kind], place, shapes)
    if kind.startswith("array of "):
        items = enumerate(value)
        inner = kind.removeprefix("array of ")
        return [c for n, item in items for c in complaints(item, inner, f"{place}[{n}]", shapes)]
    if kind.startswith("map of "):
        inner = kind.removeprefix("map of ")
        return [
            c
            for key, item in value.items()
            for c in complaints(item, inner, f"{place}.{key}", shapes)
        ]
    is_it = isinstance(value, KINDS[kind]) and (type(value) is bool) == (kind == "flag")
    return [] if is_it else [f"{place}: {value!r} is no {kind}"]


def complaints_of_a_map(value, shape: Shape, place="answer", shapes=SHAPES):
    required = {name for name, field in shape.fields.items() if not field.is_optional}
    found = [f"{place} has no {name}" for name in required - value.keys()]
    found += [f"{place}.{name} is not declared" for name in value.keys() - shape.fields.keys()]
    for name in value.keys() & shape.fields.keys():
        found += complaints(value[name], shape.fields[name].kind, f"{place}.{name}", shapes)
    return found


def form(value):
    """`value` without what differs from one server or moment to another."""
    if isinstance(value, dict):
        return {key: form(item) for key, item in value.items()}
    return [form(item) for item in value] if isinstance(value, list | tuple) else type(value)
