"""Every judging of the service: submitted, queued, looked up, cancelled and forgotten."""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgpack
import trio

from sandbox.judge.service.judging import MOST_RUNS, Judging, Request
from sandbox.judge.service.space import Space
from sandbox.judge.service.work import Work
from sandbox.server.blobs import Hold
from sandbox.server.directories import directory_name
from sandbox.server.record import new_id
from sandbox.server.service import Service
from sandbox.spec.errors import HostError, RefusedError, SandboxError
from sandbox.spec.fields import shown
from sandbox.spec.quantities import format_size
from sandbox.wire.errors import InternalError, InvalidParamsError, LostError, NotFoundError

__all__ = ["Judgings"]

_MOST_QUEUED = 1000  # of a tenant
_RETRY_SECONDS = 1.0
_MOST_LOGGED = 1000  # characters of an error, which may quote what a tenant has sent
_LEAVING = "the server is about to end; the next one goes on with what is not over"
_LEAVING_SECONDS = 5.0


class Judgings:
    """The registry. What is another tenant's is as good as absent."""

    def __init__(self, service: Service, directory: Path, nursery: trio.Nursery) -> None:
        """`directory`: ours alone. `nursery`: for what runs."""
        self._service, self._directory, self._nursery = service, directory, nursery
        self._spaces: dict[str, Space] = {}
        self._work = Work(service, directory, nursery)
        self._waiting: set[trio.CancelScope] = set()
        # While one compiles or ends, the others have the cores.
        self._most_running = self._work.cores + 1

    async def start(self) -> None:
        """Take up what an earlier process has left: what was not over is judged again."""
        self._nursery.start_soon(self._leave)
        found = await trio.to_thread.run_sync(self._find)
        for space in found:
            self._spaces[directory_name(space.tenant)] = space
            for problem in space.broken:
                self._service.log.event("judging_lost", level="error", error=problem)
            for judging in list(space.judgings.values()):
                if judging.is_over:
                    continue
                with contextlib.suppress(NotFoundError):  # unpacked already, or told when it runs
                    space.holds[judging.id] = await self._hold(space, judging.request.problem)
                if judging.runs >= MOST_RUNS:
                    space.unqueue(judging)
                    problem = f"the supervisor was killed {judging.runs} times while it ran"
                    self._nursery.start_soon(self._finish, space, judging, LostError(problem))
            self._pump(space)

    # Waiting

    @contextlib.contextmanager
    def patience(self, seconds: float) -> Iterator[None]:
        """The block waits for so long at most. Raises RefusedError: the server drains meanwhile, so
        that what it waits for comes of the next one; and whoever waits keeps this one from ending.
        """
        with trio.move_on_after(seconds) as scope:
            self._waiting.add(scope)
            try:
                if seconds and self._service.jobs.is_draining:
                    scope.cancel()
                yield
            finally:
                self._waiting.discard(scope)
        if seconds and scope.cancelled_caught and self._service.jobs.is_draining:
            raise RefusedError(_LEAVING, _LEAVING_SECONDS)

    async def _leave(self) -> None:
        await self._service.jobs.draining()
        for scope in list(self._waiting):
            scope.cancel()
        for space in self._spaces.values():
            for judging in space.judgings.values():
                judging.events.leave()

    # Looking up

    def find(self, tenant: str, judging: str) -> Judging:
        """The judging. Raises NotFoundError."""
        space = self._spaces.get(directory_name(tenant))
        found = space and space.judgings.get(judging)
        if found is None:
            raise NotFoundError(f"no judging {shown(judging)}")
        return found

    def page(self, tenant: str, state: str | None, after: str, most: int) -> list[dict[str, Any]]:
        """In brief, the first `most` whose id sorts behind `after`, oldest first."""
        space = self._spaces.get(directory_name(tenant))
        found: list[dict[str, Any]] = []
        for judging in space.judgings.values() if space else ():
            if len(found) == most:
                break
            if judging.id > after and state in (None, judging.state):
                found.append(judging.brief())
        return found

    async def languages(self, tenant: str, wait_seconds: float) -> dict[str, Any]:
        """Which there are here."""
        return await self._work.languages_here(tenant, self.patience(wait_seconds))

    def language_code(self, word: str) -> str:
        """The code of the language that is called so. Raises InvalidParamsError."""
        return self._work.language_code(word)

    # Submitting

    async def submit(
        self, tenant: str, request: Request, files: Mapping[str, bytes | Path]
    ) -> Judging:
        """Accept one, or find what was accepted for its key. It is on the disk when this returns.

        `files`: bytes, or the path of them, by name. Raises InvalidParamsError, RefusedError.
        """
        with trio.CancelScope(shield=True):  # what is on the disk must also run
            names = tuple(sorted(files))
            space = await self._space(tenant)
            # One at a time: a frame of some bytes may name blobs of megabytes.
            async with space.lock:
                contents = [await _content(files[name]) for name in names]
                request = request._replace(
                    names=names, fingerprint=_fingerprint(request, names, contents)
                )
                if (earlier := _earlier(space, request)) is not None:
                    return earlier
                self._refuse_much(space, sum(map(len, contents)))
                hold = await self._package(space, request.problem)
                place = space.place(new_id())
                try:
                    if hold is not None:
                        await _flush(hold)
                    judging = await trio.to_thread.run_sync(
                        Judging.create, place, request, contents
                    )
                except BaseException:
                    if hold is not None:
                        hold.release()
                    raise
                if hold is not None:
                    space.holds[judging.id] = hold
                space.add(judging)
            self._pump(space)
            return judging

    async def rejudge(self, tenant: str, judging: Judging, **changes: Any) -> Judging:
        """The same once more, as another judging. Raises as `submit`."""
        old = judging.request
        files = dict(judging.submission().files)
        return await self.submit(tenant, old._replace(**changes, rejudge_of=judging.id), files)

    # Ending

    def cancel(self, tenant: str, judging: Judging) -> None:
        """End it. One that is over stays as it is."""
        if judging.is_over or judging.is_cancelled:
            return
        judging.is_cancelled = True
        space = self._spaces[directory_name(tenant)]
        if space.unqueue(judging):
            self._nursery.start_soon(self._finish, space, judging, None)
        else:
            judging.scope.cancel()

    async def delete(self, tenant: str, judging: Judging) -> None:
        """Forget one that is over. Raises RefusedError: it is not."""
        if not judging.is_over:
            raise RefusedError(f"judging {judging.id} has not ended; cancel it first", 1.0)
        await self._spaces[directory_name(tenant)].delete(judging)

    # Running

    def _pump(self, space: Space) -> None:
        """Have those run whose turn it is."""
        while space.running < self._most_running and not self._service.jobs.is_draining:
            judging = space.next()
            if judging is None:
                return
            space.running += 1
            self._nursery.start_soon(self._run, space, judging)

    async def _run(self, space: Space, judging: Judging) -> None:
        try:
            outcome: Mapping[str, Any] | SandboxError | None = None
            try:
                await judging.begin()
                with judging.scope:
                    outcome = await self._work.judge(space, judging)
            except SandboxError as error:
                outcome = error
            except Exception as error:  # a mistake of ours: it costs this judging, and no other
                self._service.log.bug(error, tenant=space.tenant, judging=judging.id)
                outcome = InternalError(str(error))
            except BaseException:  # we are about to end: the next supervisor judges it
                with contextlib.suppress(HostError):  # then it is as if we had been killed
                    judging.leave()
                raise
            await self._finish(space, judging, outcome)
        finally:
            space.running -= 1
            self._pump(space)

    async def _finish(
        self, space: Space, judging: Judging, outcome: Mapping[str, Any] | SandboxError | None
    ) -> None:
        """Its end is on the disk, then told. `outcome`: None: it was cancelled."""
        state = "cancelled" if outcome is None else "ended"
        if isinstance(outcome, SandboxError):
            state = "failed"
        while True:
            try:
                await judging.finish(state, outcome)
                break
            except HostError as error:  # no room: it is not lost while we live
                self._service.log.event("judging_unsaved", level="error", error=str(error))
                await trio.sleep(_RETRY_SECONDS)
        space.release(judging)
        self._service.log.event(
            "judging", tenant=space.tenant, judging=judging.id, state=judging.state,
            verdict=judging.verdict, label=judging.request.label,
            error=str(outcome)[:_MOST_LOGGED] if state == "failed" else None,
        )  # fmt: skip
        await space.make_room()

    # Places

    async def _space(self, tenant: str) -> Space:
        name = directory_name(tenant)
        if name not in self._spaces:
            most_bytes = functools.partial(self._most_bytes, tenant)
            # Nothing is there: it is made at once, and blocks for nobody.
            self._spaces[name] = Space(
                self._directory / name, tenant, self._service.orders, self._work.reader, most_bytes
            )
        return self._spaces[name]

    def _find(self) -> list[Space]:
        return list(
            Space.found(self._directory, self._service.orders, self._work.reader, self._most_bytes)
        )

    def _most_bytes(self, tenant: str) -> int:
        return self._service.tenants.config_of(tenant).blob_bytes

    async def _package(self, space: Space, sha256: str) -> Hold | None:
        """Of its archive; None: it was unpacked, and is held no more. Raises InvalidParamsError."""
        try:
            return await self._hold(space, sha256)
        except NotFoundError as error:
            if not space.packages.has(sha256):
                problem = f"{sha256} is no blob that is held; upload it first"
                raise InvalidParamsError("problem", problem) from error
            return None

    async def _hold(self, space: Space, sha256: str) -> Hold:
        return await self._service.blobs.hold(space.tenant, sha256)

    def _refuse_much(self, space: Space, size_bytes: int) -> None:
        if self._service.jobs.is_draining:
            raise RefusedError(_LEAVING, _LEAVING_SECONDS)
        if space.waiting >= _MOST_QUEUED:
            raise RefusedError(f"busy: {_MOST_QUEUED} judgings of {space.tenant} are queued", 5.0)
        if space.unended_bytes + size_bytes > (most := self._most_bytes(space.tenant)):
            queued = f"the files of judgings of {space.tenant} that have not ended"
            raise RefusedError(f"busy: {queued} may have {format_size(most)} in sum", 5.0)


async def _flush(hold: Hold) -> None:
    """Have the package on the disk, as all else that it takes to judge. Raises HostError."""
    try:
        await hold.flush()
    except OSError as error:
        raise HostError(f"{hold.path} cannot be flushed: {error.strerror}; fix that") from error


async def _content(given: bytes | Path) -> bytes:
    if isinstance(given, bytes):
        return given
    try:
        return await trio.to_thread.run_sync(given.read_bytes)
    except FileNotFoundError as error:  # of a judging that is deleted while it is judged again
        raise NotFoundError("its files were deleted") from error


def _earlier(space: Space, request: Request) -> Judging | None:
    """What was accepted under the same key. Raises InvalidParamsError: and is another."""
    earlier = None if request.key is None else space.keys.get(request.key)
    if earlier is not None and earlier.request.fingerprint != request.fingerprint:
        raise InvalidParamsError(
            "key", f"judging {earlier.id} was submitted under it, and is another; choose a new one"
        )
    return earlier


def _fingerprint(request: Request, names: Iterable[str], contents: Iterable[bytes]) -> str:
    decides = [
        request.problem, request.language, request.entry_point, request.time_limit_seconds,
        request.judges_all, request.transcribes, request.rejudge_of,
        [(name, hashlib.sha256(data).digest()) for name, data in zip(names, contents, strict=True)],
    ]  # fmt: skip
    return hashlib.sha256(msgpack.packb(decides)).hexdigest()
