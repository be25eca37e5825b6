"""Ctrl-C and its like: a command of the judge ends at once, and leaves nothing."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable

import trio

__all__ = ["run_until_signal"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_CANCELLED = 130  # the exit code of a command that SIGINT ended


def run_until_signal(main: Callable[[], Awaitable[int]]) -> int:
    """Run it under trio; its exit code, or 130 where a signal cancelled it. Raises as it does."""

    async def run() -> int:
        scope, token = trio.CancelScope(), trio.lowlevel.current_trio_token()

        def cancel(*_: object) -> None:
            token.run_sync_soon(scope.cancel)

        # What is ignored, as by nohup, stays so.
        heard = [number for number in _SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        before = {number: signal.signal(number, cancel) for number in heard}
        try:
            with scope:
                return await main()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        print("sandbox: cancelled", file=sys.stderr)
        return _CANCELLED

    return trio.run(run)
