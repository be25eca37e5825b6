"""TOML files: bounded, and every way to be none is one kind of error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sandbox.spec.errors import SpecError

__all__ = ["Parse", "parse_toml", "parsed", "read_toml"]

_MOST_BYTES = 1 << 20

Parse = Callable[[bytes], dict[str, Any]]


def parse_toml(text: bytes) -> dict[str, Any]:
    """The document that `text` is. Raises ValueError, or RecursionError."""
    import tomllib  # some milliseconds, which a mistake in the options need not wait for

    return tomllib.loads(text.decode())


def read_toml(path: Path, field: str, parse: Parse = parse_toml) -> dict[str, Any]:
    """The document in `path`, of at most 1 MiB. Raises SpecError with `field`, naming the file.

    `parse`: does what `parse_toml` does, perhaps from what it remembers.
    """
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no path can have
        raise SpecError(field, f"{path}: {getattr(error, 'strerror', error)}") from error
    if len(text) > _MOST_BYTES:
        raise SpecError(field, f"{path}: over {_MOST_BYTES} bytes")
    return parsed(text, path, field, parse)


def parsed(text: bytes, path: Path, field: str, parse: Parse = parse_toml) -> dict[str, Any]:
    """The document that `text`, of `path`, is. Raises SpecError with `field`, naming the file."""
    try:
        return parse(text)
    except ValueError as error:  # no UTF-8, no TOML, or a number of more digits than int() takes
        raise SpecError(field, f"{path}: {error}") from error
    except RecursionError:
        raise SpecError(field, f"{path}: nested too deeply") from None
