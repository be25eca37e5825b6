"""TOML files: bounded, and every way to be none is one kind of error."""

from pathlib import Path
from typing import Any

from sandbox.spec.errors import SpecError

__all__ = ["read_toml"]

_MOST_BYTES = 1 << 20


def read_toml(path: Path, field: str) -> dict[str, Any]:
    """The document in `path`, of at most 1 MiB. Raises SpecError with `field`, naming the file."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a name that no path can have
        raise SpecError(field, f"{path}: {getattr(error, 'strerror', error)}") from error
    if len(text) > _MOST_BYTES:
        raise SpecError(field, f"{path}: over {_MOST_BYTES} bytes")
    import tomllib  # some milliseconds, which a mistake in the options need not wait for

    try:
        return tomllib.loads(text.decode())
    except ValueError as error:  # no UTF-8, no TOML, or a number of more digits than int() takes
        raise SpecError(field, f"{path}: {error}") from error
    except RecursionError:
        raise SpecError(field, f"{path}: nested too deeply") from None
