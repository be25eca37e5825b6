"""Which lines were reached: what an input is worth, where atheris does not tell.

Those of `sandbox` are counted; those of the targets count for the input too, because what they have
decided is what an input means.

A line is watched until it was reached once. From Python 3.12 the interpreter then forgets it
(sys.monitoring); before, a function costs a call for each of its lines while one of them is unseen.
"""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

__all__ = ["Lines"]

_ROOT = Path(__file__).resolve().parents[1]
_SANDBOX, _FUZZ = f"{_ROOT}/sandbox/", f"{_ROOT}/fuzz/"
_ROOMS = (_SANDBOX, _FUZZ)
_NOTHING: set[int] = set()


class Lines:
    """Counts them from `start` to `stop`, in every thread that starts meanwhile."""

    def __init__(self) -> None:
        self.count = 0  # of sandbox
        self.reached: list[str] = []  # all, as module-function, in the order of their time
        self._unseen: dict[int, set[int]] = {}  # id of a code -> its lines
        self._kept: list[CodeType] = []  # so that no id comes again

    def start(self) -> None:
        """Watch from here on."""
        if sys.version_info >= (3, 12):
            monitoring = sys.monitoring
            monitoring.use_tool_id(monitoring.COVERAGE_ID, "fuzz")
            monitoring.register_callback(
                monitoring.COVERAGE_ID, monitoring.events.LINE, self._on_line_event
            )
            monitoring.set_events(monitoring.COVERAGE_ID, monitoring.events.LINE)
        else:
            threading.settrace(self._on_call)
            sys.settrace(self._on_call)

    def stop(self) -> None:
        """Watch no more."""
        if sys.version_info >= (3, 12):
            sys.monitoring.set_events(sys.monitoring.COVERAGE_ID, 0)
            sys.monitoring.free_tool_id(sys.monitoring.COVERAGE_ID)
        else:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _on_line_event(self, code: CodeType, line: int) -> Any:
        if code.co_filename.startswith(_ROOMS):
            self._note(code)
        return sys.monitoring.DISABLE  # type: ignore[attr-defined]

    def _on_call(self, frame: FrameType, _event: str, _: object) -> Callable[..., Any] | None:
        code = frame.f_code
        unseen = self._unseen.get(id(code))
        if unseen is None:
            unseen = _lines_of(code) if code.co_filename.startswith(_ROOMS) else _NOTHING
            self._unseen[id(code)] = unseen
            self._kept.append(code)
        return self._on_line if unseen else None

    def _on_line(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        unseen = self._unseen[id(frame.f_code)]
        if event == "line" and frame.f_lineno in unseen:
            unseen.discard(frame.f_lineno)
            self._note(frame.f_code)
        return self._on_line if unseen else None

    def _note(self, code: CodeType) -> None:
        self.count += code.co_filename.startswith(_SANDBOX)
        self.reached.append(f"{Path(code.co_filename).stem}-{code.co_name.strip('<>')}")


def _lines_of(code: CodeType) -> set[int]:
    return {line for _, _, line in code.co_lines() if line} - {code.co_firstlineno}
