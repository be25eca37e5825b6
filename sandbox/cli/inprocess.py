"""The CLI's own supervisor, for one job: what a daemon does, in this process.

The one module of the CLI that imports the supervisor, and only when it is called: the zygote's
interpreter starts while ours still imports trio.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import stat

from sandbox.spec.errors import HostError, RefusedError
from sandbox.spec.policy import limits_for

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any

    from sandbox.spec.job import Job
    from sandbox.spec.policy import Policy
    from sandbox.spec.result import Result
    from sandbox.supervisor.lifecycle import Cancellation
    from sandbox.supervisor.live import Live

__all__ = ["attack", "check_policy", "doctor", "parse_kept", "run_job", "setup"]

_PIECE_BYTES = 65536


def run_job(
    job: Job,
    policy: Policy,
    *,
    stdin_fd: int | None,
    stdout_fd: int,
    stderr_fd: int,
    emptied: tuple[str, ...] = (),
    owns_process: bool = True,
) -> Result:
    """Run one job, its streams being these fds. Ctrl-C and SIGTERM cancel it.

    It locks this process for good (supervisor/confinement.py), unless somebody else `owns_process`.
    `emptied`: directories in which files may be removed afterwards. Raises SandboxError for our
    failures; then nothing ran, or nothing is left of it.
    """
    limits = limits_for(job, policy)
    gc.disable()  # imports leave no garbage, and looking for it took a tenth of their time
    from sandbox.supervisor.startup import start_keeper, take_ground

    with contextlib.ExitStack() as held:
        keeper = start_keeper()
        held.callback(keeper.close_all)
        # Its interpreter starts while ours imports this, and it mounts while ours imports trio.
        import ssl  # noqa: F401  # the largest part of trio that is not its own
        import subprocess  # noqa: F401

        from sandbox.supervisor.ahead import plan_ahead

        ground, files = take_ground(keeper, job)
        held.callback(ground.close)
        held.callback(files.close)
        plan_ahead(ground, job, policy)
        import trio

        from sandbox.supervisor.confinement import Places, confine
        from sandbox.supervisor.lifecycle import Caller, Cancellation
        from sandbox.supervisor.supervisor import open_supervisor

        fds = {"stdout": stdout_fd, "stderr": stderr_fd}

        async def main() -> Result:
            cancellation = Cancellation()
            with _raw_terminal(job.tty, stdin_fd) as started:
                caller = Caller(
                    sink=lambda stream, data: _write(fds[stream], data),
                    stdin=None if stdin_fd is None else _pieces(stdin_fd),
                    cancellation=cancellation,
                    started=started,
                )
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_cancel_on_signals, cancellation)
                    async with open_supervisor(ground) as supervisor:
                        result = await supervisor.run(job, policy, limits, files, caller)
                    nursery.cancel_scope.cancel()
            return result

        gc.freeze()
        gc.enable()
        if owns_process:
            confine(Places(ground.changed, (*emptied, *files.new_directories())))
        return _run(main)


def _run(main: Callable[[], Awaitable[Result]]) -> Result:
    """Run `main`; of several failures at once, raise the first: the others follow from it."""
    import trio

    from sandbox.supervisor.failures import OutputError, first_failure, told_as

    try:
        with told_as("running the supervisor"):
            return trio.run(main)
    except BaseExceptionGroup as group:
        raise first_failure(group) from group
    except OutputError as error:
        raise HostError(f"output: {error.strerror}") from error


def parse_kept(text: bytes) -> dict[str, Any]:
    """What `parse_toml` does, in a tenth of the time for a text that was parsed before."""
    from sandbox.supervisor.toml_cache import parse

    return parse(text)


def check_policy(policy: Policy) -> None:
    """Compile the policy's filter. Raises SpecError naming a syscall that nobody knows."""
    from sandbox.supervisor.seccomp import compile_filter

    compile_filter(policy, listener=False)


def doctor(*, json: bool, fix: bool) -> int:
    """Say what this host can do; the exit code says whether default jobs can run.

    `fix`: print what closes the gaps; it says whether there are none.
    """
    from sandbox.supervisor import doctor as supervisor_doctor

    return supervisor_doctor.main(json, fix)


def attack(policy: str | None, *, json: bool) -> int:
    """Run the attack suite under one policy, or all; the exit code says whether all was held."""
    from sandbox.attack import report

    return report.main(policy, json)


def setup(user: str, *, undo: bool) -> int:
    """Prepare this host for a user's jobs, or take that back."""
    from sandbox.supervisor import setup as supervisor_setup

    return supervisor_setup.main(user, undo)


async def _cancel_on_signals(cancellation: Cancellation) -> None:
    import trio

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async for _ in signals:
            cancellation.set()


async def _pieces(fd: int) -> AsyncIterator[bytes]:
    """What the caller's fd yields. In a thread: it may be a terminal shared with others, whose
    file description must not be made non-blocking."""
    import trio

    while piece := await trio.to_thread.run_sync(os.read, fd, _PIECE_BYTES, abandon_on_cancel=True):
        yield piece


async def _write(fd: int, data: bytes) -> None:
    import trio

    def write_all() -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    if stat.S_ISREG(os.fstat(fd).st_mode):
        write_all()
    else:  # a reader that stops must not stop the clock of the limits
        await trio.to_thread.run_sync(write_all, abandon_on_cancel=True)


@contextlib.contextmanager
def _raw_terminal(wanted: bool, stdin_fd: int | None):
    """The caller's terminal as a plain pipe for keys, and its size for the job's own."""
    if not wanted or stdin_fd is None or not os.isatty(stdin_fd):
        yield None
        return
    import termios
    import tty

    before = termios.tcgetattr(stdin_fd)
    running: list[Live] = []

    def resize(*_: object) -> None:
        for live in running:
            columns, rows = os.get_terminal_size(stdin_fd)
            with contextlib.suppress(RefusedError):  # the job is over
                live.resize(rows, columns)

    def started(live: Live) -> None:
        running.append(live)
        resize()

    handler = signal.signal(signal.SIGWINCH, resize)
    tty.setraw(stdin_fd)
    try:
        yield started
    finally:
        termios.tcsetattr(stdin_fd, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
