"""What `sandbox run` says of a job: the Result as JSON, or one line."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable
from sandbox.spec.result import Result

__all__ = ["json_document", "one_line", "opened"]


def one_line(result: Result) -> str:
    """The verdict and its evidence. Names in it may be the job's: nothing that a terminal obeys."""
    evidence = "; ".join(result.evidence)
    return printable(f"sandbox: {result.verdict}{evidence and f': {evidence}'}")


def json_document(result: Result) -> str:
    """The Result as JSON (RFC 8259): ASCII, no NaN, no lone surrogates.

    A byte of a name that is no UTF-8 reads as text: `\\xff`, or `\\udcff` where it was decoded.
    """
    return json.dumps(_plain(result.to_mapping()), indent=2, allow_nan=False)


@contextlib.contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """The file for the document, empty; gone again if the block raises and the file was new.

    It is opened before a job is started, so that one whose result cannot be kept does not start.
    Raises SpecError for --json.
    """
    try:
        is_new = not path.exists()
        file = path.open("w", encoding="ascii")
    except OSError as error:
        raise SpecError("--json", f"{path}: {error.strerror}") from error
    with file:
        try:
            yield file
        except BaseException:
            if is_new:
                with contextlib.suppress(OSError):  # root has dropped, and it is root's file
                    path.unlink()
            raise


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
