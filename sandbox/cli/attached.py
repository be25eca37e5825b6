"""One job of a server, with our own streams: what `docker run` does, in one loop.

Whatever is read or written here is waited for with poll(2), so that neither a slow reader of ours
nor a job that reads nothing keeps a signal or the other stream waiting.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

from sandbox.client import calls
from sandbox.client.subscription import WINDOW_BYTES, Subscription

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from sandbox.client.calls import Call
    from sandbox.client.conversation import Pending
    from sandbox.client.link import Link
    from sandbox.client.replies import Status

__all__ = ["Attached"]

# poll(2) promises room for so much in a pipe that it calls writable; pipe(7).
_PIPE_BYTES = 4096
_READ_BYTES = 64 << 10
_WINDOW_BYTES = 256 << 10  # of stdin, that the server has not taken yet
# A short job is over in this time, and then one call has brought all of it.
_PATIENCE_SECONDS = 0.02
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Attached:
    """One job, from its submit to its end. Ctrl-C, SIGTERM and SIGHUP cancel it."""

    def __init__(self, link: Link, stdin_fd: int, stdout_fd: int, stderr_fd: int) -> None:
        self._link = link
        self._stdin_fd = stdin_fd
        self._outputs = {"stdout": _Output(stdout_fd), "stderr": _Output(stderr_fd)}
        self._stdin = bytearray()  # from `_stdin_offset` on
        self._stdin_offset = 0
        self._is_stdin_over = False  # read to its end
        self._is_end_sent = False
        self._is_stdin_told = False  # the server has all of it, and its end
        self._write: Pending | None = None
        self._wait: Pending | None = None
        self._job = ""
        self._is_cancelled = False
        self._is_resized = False

    def run(self, job: Any, options: Mapping[str, Any], *, tty: bool) -> Status:
        """Submit it, serve it, and return its last status. Raises SandboxError."""
        with self._signals() as wakeup_fd:
            self._read_first()
            said = dict(options)
            if self._is_stdin_over and not tty:
                said["stdin"] = bytes(self._stdin)
            else:
                said["stdin_open"] = True
            patience = _PATIENCE_SECONDS if "stdin" in said else 0.0
            status: Status = self._link.ask(calls.submit(job, said, patience))
            self._job = status.job
            if status.is_over and self._is_whole(status):
                self._show(status)
            else:
                status = self._serve(wakeup_fd, is_fed="stdin_open" in said, tty=tty)
            for output in self._outputs.values():
                output.flush()
            return status

    # The loop

    def _serve(self, wakeup_fd: int, *, is_fed: bool, tty: bool) -> Status:
        self._is_stdin_told = not is_fed
        self._is_resized = tty
        for name, output in self._outputs.items():
            output.subscribe(self._link, self._job, name)
        last = None
        while last is None or not all(output.is_over for output in self._outputs.values()):
            if last is None and self._wait is None:
                self._wait = self._call(calls.wait(self._job, calls.WAIT_SECONDS, 0))
            self._feed()
            self._link.write()
            self._move(wakeup_fd)
            if self._wait is not None and self._wait.is_over:
                found = self._answer(calls.wait(self._job, 0.0, 0), self._wait)
                self._wait = None
                last = found if found.is_over else None
        return last

    def _move(self, wakeup_fd: int) -> None:
        """Wait for anything to happen, and take it."""
        wanted = {self._link.socket.fileno(): select.POLLIN, wakeup_fd: select.POLLIN}
        if self._link.conversation.outgoing:
            wanted[self._link.socket.fileno()] |= select.POLLOUT
        if not self._is_stdin_over and not self._is_stdin_told and len(self._stdin) < _WINDOW_BYTES:
            wanted[self._stdin_fd] = wanted.get(self._stdin_fd, 0) | select.POLLIN
        for output in self._outputs.values():
            if output.is_waiting:
                wanted[output.fd] = wanted.get(output.fd, 0) | select.POLLOUT
        poll = select.poll()
        for fd, events in wanted.items():
            poll.register(fd, events)
        happened = dict(poll.poll())
        if wakeup_fd in happened:
            self._heed(os.read(wakeup_fd, 64))
        if self._stdin_fd in happened and wanted[self._stdin_fd] & select.POLLIN:
            self._read_stdin()
        if self._link.socket.fileno() in happened:
            self._link.read()
        for output in self._outputs.values():
            if output.fd in happened and output.is_waiting and not output.write():
                self._cancel()  # nobody reads it any more
            output.grant(self._link)

    def _feed(self) -> None:
        """Send stdin, and the size of the terminal, as far as the server is ready for it."""
        if self._write is not None and self._write.is_over:
            taken = self._answer(calls.write(self._job, 0, b""), self._write) - self._stdin_offset
            del self._stdin[:taken]
            self._stdin_offset += taken
            self._is_stdin_told = self._is_end_sent and not self._stdin
            self._write = None
        if self._write is None and not self._is_stdin_told and (self._stdin or self._is_stdin_over):
            piece = bytes(self._stdin[: calls.PIECE_BYTES])
            is_last = self._is_end_sent = self._is_stdin_over and len(piece) == len(self._stdin)
            call = calls.write(
                self._job, self._stdin_offset, piece, end=is_last, wait_seconds=calls.WAIT_SECONDS
            )
            self._write = self._call(call)
        if self._is_resized and os.isatty(self._stdin_fd):
            columns, rows = os.get_terminal_size(self._stdin_fd)
            self._link.send(calls.resize(self._job, rows, columns))
        self._is_resized = False

    def _heed(self, numbers: bytes) -> None:
        if any(number in _SIGNALS for number in numbers):
            self._cancel()
        self._is_resized |= signal.SIGWINCH in numbers

    def _cancel(self) -> None:
        if not self._is_cancelled:
            self._is_cancelled = True
            self._link.send(calls.cancel(self._job))

    def _read_first(self) -> None:
        """What is there of a small stdin, so that the job can begin with all of it."""
        poll = select.poll()
        poll.register(self._stdin_fd, select.POLLIN)
        while poll.poll(0) and not self._is_stdin_over and len(self._stdin) < _WINDOW_BYTES:
            self._read_stdin()

    def _read_stdin(self) -> None:
        piece = os.read(self._stdin_fd, _READ_BYTES)
        self._stdin += piece
        self._is_stdin_over = not piece

    def _is_whole(self, status: Status) -> bool:
        return status.stdout.data is not None and status.stderr.data is not None

    def _show(self, status: Status) -> None:
        for name, output in self._outputs.items():
            output.pending += getattr(status, name).data

    def _call(self, call: Call) -> Pending:
        return self._link.conversation.call(call.method, call.params)

    def _answer(self, call: Call, pending: Pending) -> Any:
        return call.read(pending.result())

    @contextlib.contextmanager
    def _signals(self) -> Iterator[int]:
        """An fd that tells of the signals that end a job, and of a resized terminal."""
        read_fd, write_fd = os.pipe()
        for fd in (read_fd, write_fd):
            os.set_blocking(fd, False)
        before = {
            number: signal.signal(number, lambda *_: None)
            for number in (*_SIGNALS, signal.SIGWINCH)
        }
        wakeup_fd = signal.set_wakeup_fd(write_fd)
        try:
            yield read_fd
        finally:
            signal.set_wakeup_fd(wakeup_fd)
            for number, handler in before.items():
                signal.signal(number, handler)
            os.close(read_fd)
            os.close(write_fd)


class _Output:
    """One of our streams, and what is still to be written there."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pending = bytearray()
        self._subscription: Subscription | None = None
        self._is_gone = False

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to write."""
        if not self.pending and self._subscription is not None and self._subscription.is_ready:
            self.pending += self._subscription.take()
        return bool(self.pending)

    @property
    def is_over(self) -> bool:
        """Whether all has been written that there will ever be."""
        return not self.is_waiting and (self._subscription is None or self._subscription.is_over)

    def subscribe(self, link: Link, job: str, stream: str) -> None:
        """Have it pushed."""
        subscription = self._subscription = Subscription(0, lambda: None)
        call = calls.open_stream(job, stream, 0, WINDOW_BYTES)
        link.conversation.call(call.method, call.params, subscription=subscription)

    def grant(self, link: Link) -> None:
        """Let more come, for what was written."""
        if self._subscription is not None:
            link.conversation.grant(self._subscription)

    def write(self) -> bool:
        """Write what can be written without waiting; False: its reader has just gone."""
        piece = self.pending[:_PIPE_BYTES]
        try:
            del self.pending[: len(piece) if self._is_gone else os.write(self.fd, piece)]
        except BrokenPipeError:
            self._is_gone = True
            self.pending.clear()
            return False
        return True

    def flush(self) -> None:
        """Write all that is left."""
        while self.pending:
            self.write()
