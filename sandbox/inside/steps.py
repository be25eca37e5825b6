"""A step between clone and exec: build a wall, then ask the kernel whether it stands."""

from __future__ import annotations

import os
import sys

from sandbox.boundary.report import Kind, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, NoReturn
    from typing import NamedTuple as Record
else:
    from sandbox.boundary.record import Record

__all__ = ["Step", "StepFailed", "raise_walls", "run_to_end"]


class Step(Record):
    """One wall. `holds` looks at kernel state, never at what `build` believes that it did."""

    code: int
    build: Callable[[Any], None]
    holds: Callable[[Any], bool]


class StepFailed(Exception):
    """Carries the Report of the step that failed; whoever runs the process sends it and ends."""

    def __init__(self, code: int, errno: int) -> None:
        self.report = Report(Kind.FAILED, code, errno)


def raise_walls(steps: Iterable[Step], plan: Any) -> None:
    """Build and verify each wall in order. Raises StepFailed at the first that does not stand."""
    for step in steps:
        try:
            step.build(plan)
            if not step.holds(plan):
                raise StepFailed(step.code, 0)  # the calls succeeded, and the wall is not there
        except OSError as error:
            raise StepFailed(step.code, error.errno or 0) from None


def run_to_end(life: Callable[[], None], send: Callable[[bytes], object]) -> NoReturn:
    """Live a process's whole life; a step that failed is sent, and a gone supervisor ends it."""
    try:
        life()
    except StepFailed as failed:
        send(failed.report.pack())
    except EOFError:
        pass  # the supervisor is gone
    except BaseException:
        sys.excepthook(*sys.exc_info())  # a bug of ours
    finally:
        os._exit(1)
