"""The judgehost: asks for work, does it, and outlives the server's absences."""

from __future__ import annotations

import signal
import sys
import traceback
from collections.abc import Sequence
from typing import Any

import trio

from sandbox.judge.domjudge.api import Api
from sandbox.judge.domjudge.blame import Blamed
from sandbox.judge.domjudge.client import HttpClient, ServerError, tls_context
from sandbox.judge.domjudge.config import Config
from sandbox.judge.domjudge.engine import Engine
from sandbox.judge.domjudge.judging import Judge, Log
from sandbox.judge.domjudge.kept import Kept
from sandbox.judge.domjudge.material import Material
from sandbox.judge.domjudge.shelf import Shelf, claim
from sandbox.judge.domjudge.tasks import DebugTask, JudgingTask, PrefetchTask, Work
from sandbox.spec.errors import ProtocolError
from sandbox.spec.fields import printable

__all__ = ["Worker", "work"]

_FIRST_WAIT_SECONDS = 0.1
_GIVE_BACK_SECONDS = 10.0  # at the end: a server that is away must not hold us
_MOST_LOG = 16384


async def work(config: Config, engine: Engine, log: Log | None = None) -> None:
    """Judge for the server until SIGTERM or SIGINT: the run of then is ended and reported, what is
    left of its judging is given back. A second signal gives back that run too.

    Raises SpecError: the directory is another worker's, or the CA file is none. Raises ServerError:
    the server does not take our password.
    """
    log = log or print_event
    failure: Exception | None = None
    http = HttpClient(
        config.endpoint,
        tls_context(config.ca_file),
        request_seconds=config.request_seconds,
        answer_bytes=config.answer_bytes,
        backoff=config.backoff,
    )
    with claim(config.directory):
        async with http, trio.open_nursery() as nursery:
            worker = Worker(config, Api(http, config.hostname), engine, log)
            nursery.start_soon(_stop_on_signals, worker)
            try:
                await worker.run()
            except Exception as error:
                failure = error  # raised below: here it would come out in a group
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure


def print_event(event: str, **fields: Any) -> None:
    """A line to stderr."""
    text = " ".join(f"{key}={printable(str(value))}" for key, value in fields.items())
    print(f"sandbox judge worker: {event} {text}".rstrip(), file=sys.stderr, flush=True)


class Worker:
    """One judgehost at one server."""

    def __init__(self, config: Config, api: Api, engine: Engine, log: Log) -> None:
        self._config, self._api, self._log = config, api, log
        cache = Shelf(config.directory / "cache", config.cache_bytes)
        self._material = Material(api, cache)
        self._kept = Kept(Shelf(config.directory / "judgings", config.kept_bytes))
        self._judge = Judge(config, api, engine, self._material, self._kept, log)
        self._stopping = trio.Event()
        self._running = trio.CancelScope()

    def stop(self) -> None:
        """End after the run of now; called again: at once."""
        if self._stopping.is_set():
            self._running.cancel()
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises ServerError: the server does not take our password."""
        with self._running:
            await self._run_until_stopped()
        # Always: what an answer assigned that never arrived is also in our name.
        with trio.move_on_after(_GIVE_BACK_SECONDS):
            try:
                await self._register()
            except (ServerError, ProtocolError) as error:
                self._log("not_given_back", error=error)
        self._log("stopped")

    async def _run_until_stopped(self) -> None:
        is_registered, wait, is_idle = False, _FIRST_WAIT_SECONDS, False
        while not self._stopping.is_set():
            try:
                if not is_registered:
                    await self._register()
                    is_registered = True
                work = await self._fetch()
                did = await self._do(work)
            except (ServerError, ProtocolError) as error:
                _require_known(error)
                self._log("server_failed", error=error)
                # Gives back what we have, and what was assigned by an answer that never came.
                is_registered, did, is_idle = False, False, False
            else:
                if not did and not work.try_again and not is_idle:
                    is_idle = True
                    await self._tell_idle()
            if did:
                wait, is_idle = _FIRST_WAIT_SECONDS, False
                continue
            with trio.move_on_after(wait):
                await self._stopping.wait()
            wait = min(wait * 2, self._config.idle_seconds)

    async def _fetch(self) -> Work:
        try:
            return await self._api.fetch_work(self._config.batch)
        except ProtocolError as error:
            # It would come back to us for ever; another judgehost may understand it.
            await self._report(Blamed.judgehost(self._config.hostname, str(error)), None)
            raise

    async def _do(self, work: Work) -> bool:
        """Whether there was anything to do."""
        if work.judging:
            await self._judge_all(work.judging)
        for prefetch in work.prefetch:
            await self._prefetch(prefetch)
        for debug in work.debug:
            await self._debug(debug)
        return bool(work.judging or work.prefetch or work.debug)

    async def _judge_all(self, tasks: Sequence[JudgingTask]) -> None:
        settings = await self._api.settings()
        for task in tasks:
            if self._stopping.is_set():
                return  # the rest is given back on the way out
            try:
                goes_on = await self._judge.judge(task, settings)
            except Blamed as blamed:
                await self._report(blamed, task)
                goes_on = False
            except (ServerError, ProtocolError):
                raise
            except Exception as error:  # a mistake of ours: told to the jury too, and then fatal
                log = "".join(traceback.format_exception(error))[-_MOST_LOG:]
                problem = f"a bug: {error!r}"
                await self._report(Blamed.judgehost(self._config.hostname, problem, log), task)
                raise
            if not goes_on:
                if task is not tasks[-1]:
                    await self._register()
                return

    async def _prefetch(self, task: PrefetchTask) -> None:
        try:
            for executable in task.executables:
                await self._material.program(executable)
            if task.test is not None:
                await self._material.test(task.test)
        except Blamed as blamed:
            # Nobody waits for it yet; when somebody does, it is told to the jury.
            self._log("not_prefetched", problem=blamed)

    async def _debug(self, task: DebugTask) -> None:
        if task.test is None:
            field = "full_debug"
            content = await trio.to_thread.run_sync(self._kept.package, task.job)
        else:
            field = "output_run"
            content = await trio.to_thread.run_sync(self._kept.output, task.job, task.test)
        if content is None:
            self._log("not_kept", job=task.job, task=task.id, wanted=field)
            return
        await self._api.add_debug(task.id, field, content)

    async def _report(self, blamed: Blamed, task: JudgingTask | None) -> None:
        number = task and task.id
        self._log("internal_error", task=number, problem=blamed, **blamed.disabled)
        await self._api.internal_error(str(blamed), blamed.log, blamed.disabled, number)

    async def _register(self) -> None:
        for judging in await self._api.register():
            self._log("given_back", judging=judging)

    async def _tell_idle(self) -> None:
        try:
            is_enabled = await self._api.is_enabled()
        except (ServerError, ProtocolError) as error:
            _require_known(error)
            self._log("server_failed", error=error)
            return
        self._log("idle" if is_enabled else "disabled", hostname=self._config.hostname)


async def _stop_on_signals(worker: Worker) -> None:
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            worker.stop()


def _require_known(error: ServerError | ProtocolError) -> None:
    if isinstance(error, ServerError) and error.status in (401, 403):
        raise error  # no waiting heals that
