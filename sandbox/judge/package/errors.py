"""PackageError: what is wrong with a problem package, in which of its files, by which rule."""

from __future__ import annotations

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable

__all__ = ["PackageError"]

_MOST_CHARACTERS = 500


class PackageError(SpecError):
    """A package cannot be judged as it is; `field` is the file, below the package."""

    def __init__(self, file: str, problem: str) -> None:
        # Both may quote what the package holds, which may be meant for a terminal.
        super().__init__(printable(file) or ".", printable(problem[:_MOST_CHARACTERS]))
