"""The blocking client. It loads little: a command that asks a server is over in milliseconds."""

from __future__ import annotations

import time
from _thread import allocate_lock

from sandbox.client import calls
from sandbox.client.address import choose
from sandbox.client.backoff import Backoff
from sandbox.client.errors import DisconnectedError
from sandbox.client.job_handle import JobHandle
from sandbox.client.link import Link
from sandbox.client.operations import carry_out, complete, submit_job, upload
from sandbox.spec.errors import SandboxError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Any, TypeVar

    from sandbox.client.address import Address, Credentials
    from sandbox.client.calls import Call
    from sandbox.client.operations import Steps
    from sandbox.client.replies import Blob, JobStats, Summary
    from sandbox.spec.job import Job
    from sandbox.spec.result import Completed

    T = TypeVar("T")

__all__ = ["Client"]

_LAST_SECONDS = 1.0  # for the server to hear of what it is to forget


class Client:
    """A connection to a server, for one thread at a time; each thread may have a client of its own.

    It connects at the first call, or where its `with` begins. A connection that is lost is made
    again, for calls that may be repeated: no job runs twice for it. That is given up after
    `reconnect_seconds`, and so is a call that is not answered for `answer_seconds`.

    Every method raises what the server answers (SpecError, RefusedError, NotFoundError, …), and
    DisconnectedError.

    >>> from sandbox import Client
    >>> with Client() as client:
    ...     completed = client.run(["echo", "hello"])
    >>> completed.stdout, completed.result.verdict
    (b'hello\\n', 'exited')
    """

    def __init__(
        self,
        address: str | Address | None = None,
        *,
        token: str | None = None,
        credentials: Credentials | None = None,
        reconnect_seconds: float = 30.0,
        answer_seconds: float = 30.0,
    ) -> None:
        """`address`: "unix:PATH", "tls:HOST:PORT" or "tcp:HOST:PORT"; None: $SANDBOX_HOST, or
        this user's own server. `credentials`: None is those of the environment, see
        find_credentials; `token` instead of theirs. Raises SpecError.
        """
        self._address, self._credentials = choose(address, token, credentials)
        self._reconnect_seconds, self._answer_seconds = reconnect_seconds, answer_seconds
        self._link: Link | None = None
        self._was_connected = False
        self._lock = allocate_lock()

    def __enter__(self) -> Client:
        """Connect. Raises DisconnectedError: what is not there, and what to do; UntrustedError."""
        self._linked()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection. Jobs go on, but for those that are attached to it."""
        link, self._link = self._link, None
        if link is not None:
            try:
                link.settle(_LAST_SECONDS)
            except SandboxError:
                return  # it is closed
            link.close()

    # Jobs

    def submit(self, job: Sequence[str | bytes] | Job, **options: Any) -> JobHandle:
        """Have a job run, and go on: a handle of it, before it has begun.

        `job` is a command, with any key of a job among the options (policy, limits, env, ro, copy,
        collect, …), or a whole Job. `stdin`: bytes, all that it reads; a path of the host; or
        nothing. `stdin_open`: it will be written. `collect=["PATH"]` has files kept by the server.
        Also: label, priority, key (the same key, the same job), durability, most_runs,
        queue_seconds, own_core, attached (it ends when this connection does, and calls about it
        are not repeated), keep. Raises SpecError, RefusedError.

        >>> job = client.submit(["cat"], stdin=b"some bytes", limits={"memory": "64MiB"})
        >>> job.result().exit_code
        0
        >>> b"".join(job.stream("stdout"))
        b'some bytes'
        """
        status = self.do(submit_job(job, options))
        return JobHandle(self, status.job, options)

    def run(
        self,
        job: Sequence[str | bytes] | Job,
        *,
        stdin: bytes | str | os.PathLike[str] = b"",
        **options: Any,
    ) -> Completed:
        """Have a job run, and wait for its end: its result, output and artifacts.

        Options as for `submit`; the server forgets the job afterwards, unless `keep` is true. If
        this is interrupted, the job is cancelled. Raises SpecError, RefusedError, and the job's
        own error where it could not be run: SetupError, ExecError, …

        >>> client.run(["wc", "-c"], stdin=b"four").stdout
        b'4\\n'
        >>> client.run(["sh", "-c", "echo 42 > answer"], collect=["answer"]).artifacts
        {'/work/answer': b'42\\n'}
        """
        is_kept = options.pop("keep", None)
        handle = self.submit(job, stdin=stdin, **options)
        try:
            completed = self.do(complete(handle.id, time.monotonic))
        except BaseException as error:
            # Whoever is interrupted wants none of it any more; an error of the job is its end.
            is_over = isinstance(error, SandboxError)
            if not is_over or not is_kept:
                self.hint(calls.delete(handle.id) if is_over else calls.cancel(handle.id))
            raise
        if not is_kept:
            self.hint(calls.delete(handle.id))
        return completed

    def pipeline(
        self, jobs: Sequence[Any], *, pipes: Sequence[Any] | None = None, **options: Any
    ) -> list[JobHandle]:
        """Have connected jobs run, started together: a handle of each.

        `pipes`: (FROM, TO) or (FROM, "stderr", TO), of jobs counted from 0; without it, each one's
        stdout is the next one's stdin. Options as for `submit`, of all of them.

        >>> numbers, total = client.pipeline([["seq", "4"], ["paste", "-sd+"]])
        >>> b"".join(total.stream("stdout"))
        b'1+2+3+4\\n'
        """
        if pipes is None:
            pipes = [(number, number + 1) for number in range(len(jobs) - 1)]
        found = self.ask(calls.pipeline(jobs, pipes, options))
        return [JobHandle(self, status.job, options) for status in found]

    def job(self, job: str) -> JobHandle:
        """A handle of a job by its id; whether there is one shows at its first use."""
        return JobHandle(self, job, {})

    def jobs(self, state: str | None = None) -> Iterator[Summary]:
        """Every job that the server knows of us, or those in a state, in brief; oldest first."""
        after = None
        while found := self.ask(calls.jobs(state, after)):
            yield from found
            after = found[-1].job

    def stats(self) -> Sequence[JobStats]:
        """What each queued or running job uses now."""
        return self.ask(calls.stats(None))

    # Blobs

    def blob(self, content: bytes | str | os.PathLike[str]) -> str:
        """Have the server hold bytes, or a file: the SHA-256, to be named in jobs.

        What it holds is not sent again, and what was sent before an interruption neither. Raises
        SpecError: there is no such file; RefusedError: no room.

        >>> script = client.blob(b"print(6 * 7)")
        >>> job = ["python3", "answer.py"]
        >>> client.run(job, copy=[{"blob": script, "destination": "answer.py"}]).stdout
        b'42\\n'
        """
        from sandbox.client.sources import open_source

        with open_source(content) as source:
            return self.do(upload(source))

    def blobs(self) -> Iterator[Blob]:
        """What the server holds for us."""
        after = None
        while found := self.ask(calls.blob_list(after)):
            yield from found
            after = found[-1].sha256

    def blob_status(self, sha256: str) -> Blob:
        """What it knows of one blob. Raises NotFoundError."""
        return self.ask(calls.blob_stat(sha256))

    def delete_blob(self, sha256: str) -> None:
        """Have a blob forgotten. Raises NotFoundError; RefusedError: a job needs it."""
        self.ask(calls.blob_delete(sha256))

    # The server

    def info(self) -> dict[str, Any]:
        """What the server is, has and does."""
        return self.ask(calls.info())

    def metrics(self) -> str:
        """Its metrics, in the text that Prometheus reads."""
        return self.ask(calls.metrics())

    def drain(self, deadline_seconds: float) -> None:
        """Have it take no more jobs, end those that run by then, and exit. Local peers only."""
        self.ask(calls.drain(deadline_seconds))

    def reload(self) -> None:
        """Have it read its policies and tenants again. Local peers only."""
        self.ask(calls.reload())

    # What the methods here and of a handle are made of

    def do(self, steps: Steps[T]) -> T:
        """Carry out an operation: its return value."""
        return carry_out(steps, self.ask)

    def ask(self, call: Call) -> Any:
        """Make one call, and wait for what its reply says; see the class."""
        if not self._lock.acquire(False):
            raise RuntimeError("this client is in use by another thread; give each one of its own")
        try:
            backoff = None
            while True:
                link = None
                try:
                    link = self._linked()
                    return link.ask(call)
                except DisconnectedError:
                    self.close()
                    may_repeat = call.is_repeatable or link is None
                    if not may_repeat or not self._was_connected:
                        raise
                    now = time.monotonic()
                    backoff = backoff or Backoff(self._reconnect_seconds, now)
                    delay_seconds = backoff.delay_seconds(now)
                    if delay_seconds is None:
                        raise
                time.sleep(delay_seconds)
                call = call.again()
        finally:
            self._lock.release()

    def hint(self, call: Call) -> None:
        """Make a call whose outcome is of no interest; tried once, and not waited for."""
        try:
            self._linked().send(call)
        except SandboxError:
            self.close()

    def _linked(self) -> Link:
        if self._link is None or not self._link.is_alive():
            self._link = Link(self._address, self._credentials, self._answer_seconds)
            self._was_connected = True
        return self._link
