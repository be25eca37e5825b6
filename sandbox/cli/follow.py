"""`sandbox logs --follow`: both outputs of a job as they come, each to the stream of its name."""

from __future__ import annotations

import os
import select

from sandbox.client import calls
from sandbox.client.subscription import WINDOW_BYTES, Subscription

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.client.link import Link

__all__ = ["follow"]

_FDS = {"stdout": 1, "stderr": 2}


def follow(link: Link, job: str, streams: Sequence[str]) -> None:
    """Print them until their end. Raises SandboxError; BrokenPipeError: nobody reads it."""
    open_streams = {}
    pending = []
    for name in streams:
        subscription = open_streams[name] = Subscription(0, lambda: None)
        call = calls.open_stream(job, name, 0, WINDOW_BYTES)
        pending.append(link.conversation.call(call.method, call.params, subscription=subscription))
    poll = select.poll()
    while open_streams:
        link.write()
        is_behind = bool(link.conversation.outgoing)
        poll.register(link.socket, select.POLLIN | (select.POLLOUT if is_behind else 0))
        poll.poll()
        link.read()
        for one in pending:
            if one.is_over:
                one.result()  # raises why there is no stream
        for name, subscription in list(open_streams.items()):
            while subscription.is_ready:
                if not (piece := subscription.take()):
                    del open_streams[name]
                    break
                _write_all(_FDS[name], piece)
                link.conversation.grant(subscription)


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
