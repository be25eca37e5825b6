"""The server's log: a line a job, and one for each notable event, to stderr.

It never stops the server: what stderr does not take at once is dropped, and counted.
"""

import os
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from sandbox.server.log_lines import MOST_TEXT_LENGTH, RENDER
from sandbox.server.log_stream import LogStream
from sandbox.spec.result import Result

__all__ = ["LEVELS", "Log"]

LEVELS = {"error": 3, "warning": 4, "info": 6}  # as sd-daemon(3) and syslog(3) number them

_BURST = 20  # lines of one event and tenant at once
_LINES_PER_SECOND = 1.0  # and after those
_MOST_FLOODS = 1024  # events and tenants that are told apart
_FROM_RESULT = (
    "verdict", "exit_code", "signal", "cpu_seconds", "wall_seconds", "memory_peak_bytes",
)  # fmt: skip


class Log:
    """Writes events, as text for people or as JSON objects, one a line."""

    def __init__(
        self,
        line_format: str = "human",
        fd: int = 2,
        *,
        environ: MutableMapping[str, str] = os.environ,
        now: Callable[[], float] = time.time,
    ) -> None:
        """`line_format` is one of `log_lines.FORMATS`. `fd` stays the caller's, and may be closed.

        Removes JOURNAL_STREAM from `environ`: it is about our stderr, and no child's.
        """
        self.dropped_lines = 0  # since the start: stderr was full, or gone
        self._render = RENDER[line_format]
        self._now = now
        self._stream = LogStream(fd)
        journal_stream = environ.pop("JOURNAL_STREAM", "")
        self._is_journal = self._stream.name is not None and journal_stream == self._stream.name
        self._is_timed = line_format == "json" or not self._is_journal
        self._told_dropped = 0
        self._floods: dict[tuple[str, Any], _Flood] = {}

    def event(self, name: str, *, level: str = "info", **fields: Any) -> None:
        """Note something that happened to the server; `tenant` among the fields is who did it.

        The same event of the same tenant is written so many times a second only; the next line of
        it says how many were left out, as `suppressed`. `level` is one of LEVELS.
        """
        now = self._now()
        flood = self._flood(name, fields.get("tenant"), now)
        if not flood.admits(now):
            return
        if flood.suppressed:
            fields["suppressed"], flood.suppressed = flood.suppressed, 0
        self._write(name, LEVELS[level], now, fields)

    def job(
        self,
        *,
        tenant: str,
        job: str,
        label: str | None,
        policy: str,
        runs: int,
        queued_seconds: float | None,
        result: Result | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> None:
        """Note the end of a job, by its result or by its error object (`wire.errors`)."""
        fields: dict[str, Any] = {"tenant": tenant, "job": job, "label": label}
        fields |= {name: result and getattr(result, name) for name in _FROM_RESULT}
        fields |= {"queued_seconds": queued_seconds, "policy": policy, "runs": runs}
        fields["evidence"] = result.evidence if result is not None else ()
        fields["error_code"] = error and error["code"]
        fields["error"] = error and error["message"]
        level = "info" if error is None else "warning"
        self._write("job", LEVELS[level], self._now(), fields)

    def bug(self, error: BaseException, **fields: Any) -> None:
        """Note a failure that has no name: a mistake of ours, with all that helps to find it."""
        text = "".join(traceback.format_exception(error))  # the end of it is where it happened
        fields |= {"error": repr(error), "traceback": text[-MOST_TEXT_LENGTH:]}
        self.event("bug", level="error", **fields)

    def close(self) -> None:
        """Say what was left out, and write no more. Idempotent."""
        now = self._now()
        for (name, tenant), flood in self._floods.items():
            if flood.suppressed:
                fields = {"tenant": tenant, "suppressed": flood.suppressed}
                self._write(name, LEVELS["warning"], now, fields)
        self._floods.clear()
        self._stream.close()

    def _flood(self, name: str, tenant: Any, now: float) -> "_Flood":
        key = (name, tenant)
        if key not in self._floods and len(self._floods) >= _MOST_FLOODS:
            key = (name, None)  # the names are ours, and few
        return self._floods.setdefault(key, _Flood(now))

    def _write(self, event: str, level: int, now: float, fields: Mapping[str, Any]) -> None:
        if self.dropped_lines > self._told_dropped:
            dropped = self.dropped_lines - self._told_dropped
            if not self._write_line("log_dropped", LEVELS["warning"], now, {"lines": dropped}):
                self.dropped_lines += 1
                return
            self._told_dropped = self.dropped_lines
        if not self._write_line(event, level, now, fields):
            self.dropped_lines += 1

    def _write_line(self, event: str, level: int, now: float, fields: Mapping[str, Any]) -> bool:
        line = self._render(now if self._is_timed else None, event, fields)
        prefix = f"<{level}>" if self._is_journal else ""
        return self._stream.write(f"{prefix}{line}\n".encode("utf-8", "backslashreplace"))


class _Flood:
    """A bucket of lines that may be written: filled slowly, emptied by each."""

    def __init__(self, now: float) -> None:
        self.suppressed = 0
        self._lines, self._at = float(_BURST), now

    def admits(self, now: float) -> bool:
        elapsed = max(0.0, now - self._at)  # the clock may be set back
        self._lines = min(_BURST, self._lines + elapsed * _LINES_PER_SECOND)
        self._at = now
        if self._lines < 1:
            self.suppressed += 1
            return False
        self._lines -= 1
        return True
