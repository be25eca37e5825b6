"""Named tuples without `typing`, which would add 1.6 MiB to what each sandbox copies and frees.

Used as `typing.NamedTuple` is, and to type checkers it is just that.
"""

from __future__ import annotations

from _collections import _tuplegetter

__all__ = ["Record"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class Record(tuple):
    """A tuple whose items are the annotated names of its class, in order."""

    __slots__ = ()
    _fields: tuple[str, ...] = ()
    _defaults: dict[str, Any]

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}
        for index, name in enumerate(cls._fields):
            setattr(cls, name, _tuplegetter(index, ""))

    def __new__(cls, *values: Any, **named: Any) -> Record:
        for name in cls._fields[len(values) :]:
            values += (named.pop(name) if name in named else cls._defaults[name],)
        if named or len(values) != len(cls._fields):
            raise TypeError(f"{cls.__name__} takes {', '.join(cls._fields)}")
        return tuple.__new__(cls, values)

    def __repr__(self) -> str:
        items = zip(self._fields, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in items)})"

    @classmethod
    def _make(cls, values: Iterable[Any]) -> Record:
        return cls(*values)

    def _replace(self, **changes: Any) -> Record:
        return type(self)(**{**dict(zip(self._fields, self, strict=True)), **changes})
