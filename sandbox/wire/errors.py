"""Our exceptions as the error object of a Response, and back: a caller gets the type raised.

The object is a map {code, message, field, retry_after_seconds}; the last two are nil where they
mean nothing. For "exec" it has two keys more: errno, and the command as bin.
"""

from __future__ import annotations

from sandbox.spec import errors
from sandbox.spec.errors import ExecError, ProtocolError, RefusedError, SandboxError, SpecError
from sandbox.wire.values import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = [
    "CODES",
    "InternalError",
    "InvalidParamsError",
    "LostError",
    "NotFoundError",
    "UnknownMethodError",
    "error_from_map",
    "error_to_map",
]


class UnknownMethodError(SandboxError):
    """There is no such method."""


class InvalidParamsError(SpecError):
    """The parameters of a method are wrong; what is wrong within a job is a plain SpecError."""


class NotFoundError(SandboxError):
    """There is no such job, blob or key, or it is another tenant's: the answer is the same."""


class LostError(SandboxError):
    """The supervisor was killed while the job ran; nobody knows what came of it."""


class InternalError(SandboxError):
    """The supervisor met what it has no name for; its log tells more."""


# The codes are the protocol's: never renamed, never used again for something else.
CODES: Mapping[str, type[SandboxError]] = {
    "spec": SpecError,
    "refused": RefusedError,
    "host": errors.HostError,
    "setup": errors.SetupError,
    "zygote": errors.ZygoteError,
    "exec": ExecError,
    "protocol": ProtocolError,
    "unknown_method": UnknownMethodError,
    "invalid_params": InvalidParamsError,
    "not_found": NotFoundError,
    "lost": LostError,
    "internal": InternalError,
}
_CODE_OF = {kind: code for code, kind in CODES.items()}
_KEYS = ("code", "message", "field", "retry_after_seconds", "errno", "command")
_MOST_MESSAGE_BYTES = 64 << 10
_MOST_MESSAGE_LENGTH = _MOST_MESSAGE_BYTES // 4  # UTF-8 has up to four bytes a character
_MOST_RETRY_SECONDS = 86400.0


def error_to_map(error: BaseException) -> dict[str, Any]:
    """`error` as an error object; what is not ours is "internal", and nothing of it is told."""
    code = next((_CODE_OF[kind] for kind in type(error).__mro__ if kind in _CODE_OF), "internal")
    is_ours = isinstance(error, SandboxError)
    text = str(error) if is_ours else "internal error; the supervisor's log tells more"
    document: dict[str, Any] = {
        "code": code,
        "message": _sendable(text),
        "field": _sendable(error.field) if isinstance(error, SpecError) else None,
        "retry_after_seconds": error.retry_after_seconds
        if isinstance(error, RefusedError)
        else None,
    }
    if isinstance(error, ExecError):
        document |= {"errno": error.errno, "command": error.command}
    return document


def error_from_map(value: Any) -> SandboxError:
    """The exception that an error object tells of, to be raised. Unknown codes: InternalError.

    Raises ProtocolError if `value` is no error object.
    """
    try:
        return _error(Fields(value, _KEYS, "error", ignore_unknown=True))
    except SpecError as error:
        raise ProtocolError(str(error)) from error


def _error(fields: Fields) -> SandboxError:
    code = fields.text("code")
    message = fields.text("message", most_bytes=_MOST_MESSAGE_BYTES)
    field = fields.text("field", None, most_bytes=_MOST_MESSAGE_BYTES)
    retry_after_seconds = fields.number(
        "retry_after_seconds", None, least=0, most=_MOST_RETRY_SECONDS
    )
    kind = CODES.get(code, InternalError)
    if kind is ExecError:
        errno = fields.integer("errno", least=1, most=4095)  # MAX_ERRNO of the kernel
        return ExecError(errno, fields.data("command", most_bytes=_MOST_MESSAGE_BYTES))
    if issubclass(kind, SpecError):
        name = field if field is not None else "request"
        return kind(name, message.removeprefix(f"{name}: "))
    if kind is RefusedError:
        return RefusedError(message, retry_after_seconds)
    return kind(message)


def _sendable(text: str) -> str:
    sendable = text.encode("utf-8", "backslashreplace").decode()
    return sendable[:_MOST_MESSAGE_LENGTH] or "no message"
