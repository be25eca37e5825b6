"""typing.NamedTuple without `typing`, which would cost a command five milliseconds at its start.

Used as that is, in modules with `from __future__ import annotations`, whose annotations are text
and load nothing; to type checkers it is just that.
"""

from __future__ import annotations

from collections import namedtuple

__all__ = ["NamedTuple"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_INHERITED = frozenset(("__annotations__", "__module__", "__qualname__", "__doc__"))


class _Maker(type):
    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> type:
        if not bases:  # NamedTuple itself
            return super().__new__(cls, name, bases, namespace)
        annotations = namespace.get("__annotations__", {})
        defaults = [namespace.pop(field) for field in annotations if field in namespace]
        made = namedtuple(name, annotations, defaults=defaults, module=namespace["__module__"])
        made.__annotations__ = dict(annotations)
        made.__qualname__ = namespace["__qualname__"]
        made.__doc__ = namespace.get("__doc__", made.__doc__)
        for key in namespace.keys() - _INHERITED:
            setattr(made, key, namespace[key])
        return made


class NamedTuple(metaclass=_Maker):
    """A tuple whose items are the annotated names of its class, in order."""
