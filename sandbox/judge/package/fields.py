"""Fields: a table of a package's YAML, read by type. Every complaint names file and key."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sandbox.judge.package.document import written
from sandbox.judge.package.errors import PackageError
from sandbox.spec.fields import dotted, shown, suggestion

__all__ = ["Fields", "parse_number"]

# The formats' grammar of numbers. YAML 1.1 takes 1e-6, which has no dot, for text.
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[Ee][+-]?[0-9]{1,4})?")
_MOST_ITEMS = 1000


class Fields:
    """A table; a key with nothing behind it counts as left out."""

    def __init__(
        self,
        file: str,
        table: Any,
        known: Collection[str] = (),
        *,
        notes: list[str] | None = None,
        prefix: str = "",
    ) -> None:
        """`known`: its keys; empty: any. `notes`: where unknown ones are told; None: an error."""
        self.file = file
        self._prefix = prefix
        self._notes = notes
        if table is None:
            table = {}
        if not isinstance(table, Mapping):
            raise PackageError(file, f"{prefix or 'the document'}: {shown(table)} is no table")
        self._table = table
        for key in table:
            if known and key not in known:
                self._refuse_key(key, known)

    def __contains__(self, key: str) -> bool:
        return self._table.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        for key in self._table:
            if not isinstance(key, str):
                raise self._no_key(key)
            yield key

    def __len__(self) -> int:
        return len(self._table)

    def raw(self, key: str) -> Any:
        """Whatever it is."""
        return self._table.get(key)

    def error(self, key: str, problem: str) -> PackageError:
        """What to raise of a key."""
        return PackageError(self.file, f"{dotted(self._prefix, key)}: {problem}")

    def complain(self, key: str, problem: str) -> None:
        """Of what has no bearing on verdicts: an error where the format is strict, or a note."""
        if self._notes is None:
            raise self.error(key, problem)
        self._notes.append(str(self.error(key, problem)))

    def text(self, key: str) -> str | None:
        """A text, or a number as it was written."""
        if key not in self:
            return None
        text = written(self._table[key])
        if text is None:
            raise self.error(key, f"{shown(self._table[key])} is no text; put it in quotes")
        return text

    def choice(self, key: str, choices: Collection[str], default: str) -> str:
        """One of `choices`."""
        text = self.text(key)
        if text is None:
            return default
        if text not in choices:
            near = suggestion(text, choices)
            raise self.error(key, f"{shown(text)} is not one of {', '.join(choices)}{near}")
        return text

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self._table.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.error(key, f"{shown(value)} is neither true nor false")
        return value

    def number(
        self,
        key: str,
        default: float | None,
        *,
        most: float,
        least: float = 0,
        above: float = -1,
        unit: str = "",
    ) -> float | None:
        """A number from `least` to `most`, and greater than `above`; `unit`: of what."""
        value = self._table.get(key)
        if value is None:
            return default
        number = parse_number(value)
        if number is None:
            of = f" of {unit}" if unit else ""
            raise self.error(key, f"{shown(value)} is no number{of}")
        if not least <= number <= most or number <= above:
            low = f"over {above:g}" if above >= least else f"at least {least:g}"
            raise self.error(
                key, f"{shown(value)} is out of range; it must be {low}, at most {most:g}"
            )
        return number

    def integer(
        self, key: str, default: int | None, *, least: int, most: int, unit: str = ""
    ) -> int | None:
        """A whole number."""
        number = self.number(key, default, least=least, most=most, unit=unit)
        if number is not None and number != int(number):
            raise self.error(key, f"{shown(self._table[key])} is no whole number")
        return None if number is None else int(number)

    def words(self, key: str) -> tuple[str, ...]:
        """A sequence of texts, or a text of words between spaces."""
        value = self._table.get(key)
        return self.texts(key) if isinstance(value, list) else tuple((self.text(key) or "").split())

    def texts(self, key: str) -> tuple[str, ...]:
        """A sequence of texts."""
        value = self._table.get(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.error(key, f"{shown(value)} is no sequence; write [a, b]")
        if len(value) > _MOST_ITEMS:
            raise self.error(key, f"has over {_MOST_ITEMS} items")
        texts = [written(item) for item in value]
        if None in texts:
            raise self.error(key, "holds what is no text; put it in quotes")
        return tuple(text for text in texts if text is not None)

    def fields(self, key: str, known: Collection[str] = ()) -> Fields:
        """A table in it; an empty one where there is none."""
        prefix = dotted(self._prefix, key)
        return Fields(self.file, self._table.get(key), known, notes=self._notes, prefix=prefix)

    def _refuse_key(self, key: Any, known: Collection[str]) -> None:
        if not isinstance(key, str):
            raise self._no_key(key)
        self.complain(key, f"no such key{suggestion(key, known)}")

    def _no_key(self, key: Any) -> PackageError:
        return PackageError(self.file, f"{self._prefix or 'a key'}: {shown(key)} is no text")


def parse_number(value: Any) -> float | None:
    """`value` as a finite number, if it is one or is written as one."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Whole numbers without end: float() would raise, and no limit is as large.
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return None
    return float(value) if math.isfinite(value) else None
