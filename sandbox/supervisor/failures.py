"""What the host refuses us, told as our error with the step that met it."""

import contextlib
import errno
import os
from collections.abc import Iterator

from sandbox.spec.errors import HostError

__all__ = ["SHORTAGES", "OutputError", "first_failure", "told_as"]

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EAGAIN)
# A module that cannot be looked for is one that is not there, to the interpreter; and where the
# host has no room for one more thread, it says RuntimeError.
_OF_THE_HOST = (OSError, MemoryError, ImportError, RuntimeError)
_NO_THREAD = "can't start new thread"
_FEWER = "raise its limit, or let fewer jobs run at once"


class OutputError(OSError):
    """The caller's own, of what takes a job's output: it knows best what to make of it."""


@contextlib.contextmanager
def told_as(step: str) -> Iterator[None]:
    """What goes wrong in here is told as a failure of this step. Raises HostError.

    An error that is ours already stays as it is, and so does the caller's: they know more.
    """
    try:
        yield
    except _OF_THE_HOST as error:
        if _is_ours(error):
            raise
        raise _told(step, error) from error
    except BaseExceptionGroup as group:
        first = first_failure(group)
        if isinstance(first, _OF_THE_HOST) and not _is_ours(first):
            raise _told(step, first) from group
        raise


def _is_ours(error: Exception) -> bool:
    """A mistake, or the caller's."""
    if isinstance(error, RuntimeError):
        return str(error) != _NO_THREAD
    return isinstance(error, OutputError)


def first_failure(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several failures at once the first one of ours: the others follow from it."""
    import trio  # a supervisor starts before that is loaded

    found: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        error = pending.pop(0)
        if isinstance(error, BaseExceptionGroup):
            pending = [*error.exceptions, *pending]
        else:
            found.append(error)
    return next((e for e in found if not isinstance(e, trio.Cancelled)), found[0])


def _told(step: str, error: Exception) -> HostError:
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, (MemoryError, RuntimeError)):
        code = errno.ENOMEM if isinstance(error, MemoryError) else errno.EAGAIN
    what = str(error) if code is None else os.strerror(code)
    if isinstance(error, OSError) and error.filename:
        what += f": {error.filename!s}"
    fix = _FEWER if code in SHORTAGES else "see what the host says of it"
    return HostError(f"{step} failed: {what}; fix: {fix}")
