"""What a client submits with a job: how it is to be kept, queued and run again."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgpack

from sandbox.wire.errors import InvalidParamsError

__all__ = ["DURABILITIES", "Submission"]

DURABILITIES = ("memory", "process", "power")
_AS_SENT = "surrogateescape"  # old raw may be bytes, and the decoder has made text of them


class Submission(NamedTuple):
    """One submitted job, and all that another run of it needs."""

    job: Mapping[str, Any]  # as it came over the wire
    is_local: bool  # it may name files of the host
    key: str | None = None
    durability: str = "process"
    stdin: bytes = b""  # all of it, unless `stdin_open` or the job names a file or blob
    stdin_open: bool = False
    most_runs: int = 1
    priority: int = 0
    queue_seconds: float = 3600.0
    own_core: bool = False
    label: str | None = None
    attached: bool = False
    keep: bool = True
    is_piped: bool = False  # one of a pipeline

    def check(self) -> "Submission":
        """This one. Raises InvalidParamsError where two fields contradict each other."""
        if self.attached and self.durability != "memory":
            raise InvalidParamsError(
                "attached", 'ends the job with the connection; write durability "memory" with it'
            )
        if self.stdin_open and self.most_runs > 1:
            raise InvalidParamsError(
                "most_runs", "a job whose stdin is written while it runs cannot be run again"
            )
        if self.stdin_open and (self.stdin or "stdin" in self.job):
            raise InvalidParamsError("stdin_open", "its stdin is given already")
        if self.stdin and "stdin" in self.job:
            raise InvalidParamsError("stdin", "is given twice, in the job too")
        return self

    @property
    def is_durable(self) -> bool:
        """Whether it survives the supervisor's death."""
        return self.durability != "memory"

    @property
    def is_power(self) -> bool:
        """Whether it survives the machine's, too."""
        return self.durability == "power"

    @property
    def size_bytes(self) -> int:
        """About what it holds in memory."""
        return len(self.stdin) + _size_bytes(self.job)

    def pack(self) -> bytes:
        """This as bytes, for the journal."""
        return msgpack.packb(self._asdict(), default=dict, unicode_errors=_AS_SENT)

    @classmethod
    def unpack(cls, data: bytes) -> "Submission":
        """What `pack` was given."""
        return cls(
            **msgpack.unpackb(data, use_list=False, strict_map_key=False, unicode_errors=_AS_SENT)
        )


def _size_bytes(value: Any) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, Mapping):
        return sum(_size_bytes(key) + _size_bytes(item) for key, item in value.items())
    return sum(map(_size_bytes, value)) if isinstance(value, list | tuple) else 1
