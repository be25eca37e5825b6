"""judge.*: submit to a problem package, hear of each test, look, cancel, judge again, forget."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from pathlib import Path
from typing import Any

import trio

from sandbox.judge.service.judging import STATES, Judging, Request
from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.shapes import BRIEF_JUDGING, JUDGEMENT, JUDGING
from sandbox.judge.service.unpacking import name_problem
from sandbox.server.method import Method, Param, declaring
from sandbox.server.methods.job import MOST_WAIT_SECONDS
from sandbox.server.service import Peer, Service
from sandbox.server.shapes import EMPTY, Field, Shape
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.spec.fields import dotted
from sandbox.wire.errors import InvalidParamsError, NotFoundError, error_from_map
from sandbox.wire.values import MOST_INTEGER, Fields, read_data

__all__ = ["METHODS"]

METHODS: dict[str, Method] = {}
method = declaring(METHODS)

_MOST_LISTED = 1000
_MOST_EVENTS_BYTES = 256 << 10
_MOST_FILES = 256
_MOST_FILE_BYTES = 16 << 20  # of all of them: of blobs, for a frame has less
_SHA256 = {"most_bytes": 64}

_JUDGING = Param("text", "its id, as judge.submit answered it", bounds={"most_bytes": 64})
_WAIT = Param("number", "how long to wait for it", 0.0, {"least": 0.0, "most": MOST_WAIT_SECONDS})
_SUBMITTING = {
    "key": Param(
        "text", "idempotency key: a second submit under it finds the first one's judging", None,
        {"most_bytes": 128},
    ),
    "label": Param("text", "whatever helps you to know it again", None, {"most_bytes": 256}),
    "priority": Param(
        "integer", "within the tenant; the greatest first", 0, {"least": -100, "most": 100}
    ),
    "wait_seconds": _WAIT,
}  # fmt: skip
_NOT_ACCEPTED = (
    "invalid_params: `problem`, no such blob; `files`, a name or a size; `key`, it is that of"
    " another judging",
    "refused: too many are queued, or the server drains",
)

Answer = Callable[[], Any]


def _on_judging(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give the method the Judging of its `judging`."""

    def run(service: Service, peer: Peer, judging: str, **values: Any) -> Any:
        judgings = service.parts[Judgings]
        return function(judgings, peer, judgings.find(peer.tenant.name, judging), **values)

    run.__doc__ = function.__doc__
    return run


@method(
    "judge.submit", JUDGING, *_NOT_ACCEPTED,
    problem=Param("text", "the SHA-256 of a blob: the problem package, as a zip or a tar",
                  bounds=_SHA256),
    files=Param("table", "the submission: up to 256 names, relative and with /, each with the bytes"
                " of that file, or with {blob}; 16 MiB at most"),
    language=Param("text", "its code; by default, by names and contents", None, {"most_bytes": 64}),
    entry_point=Param("text", "the file or class that is started, where the language asks for one",
                      None, {"most_bytes": 256}),
    time_limit_seconds=Param("number", "in place of the package's", None,
                             {"least": 0.001, "most": 86400.0}),
    all_tests=Param("flag", "run those too that cannot matter any more", False),
    **_SUBMITTING,
)  # fmt: skip
def submit(
    service: Service, peer: Peer, problem: str, files: Mapping[str, Any],
    all_tests: bool, wait_seconds: float, **fields: Any,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """Accept a submission. It is on the server's disk when this answers, and is judged even if the
    server is killed meanwhile: then from its beginning. The package is unpacked, in a sandbox, the
    first time that it is used. What is wrong with it is told as the error of the judging."""
    judgings = service.parts[Judgings]
    _check(service, peer, problem, fields["priority"])
    if fields["language"] is not None:
        fields["language"] = judgings.language_code(fields["language"])
    given = _files(files)
    request = Request(problem, (), "", judges_all=all_tests, **fields)

    async def submitted() -> Answer:
        with contextlib.ExitStack() as held:
            content = {
                name: value if isinstance(value, bytes) else await _held(service, peer, value, held)
                for name, value in given.items()
            }
            sizes = [
                len(value) if isinstance(value, bytes) else value.stat().st_size
                for value in content.values()
            ]
            if sum(sizes) > _MOST_FILE_BYTES:
                raise InvalidParamsError("files", f"{sum(sizes)} bytes; up to {_MOST_FILE_BYTES}")
            judging = await judgings.submit(peer.tenant.name, request, content)
        return await _waited(judging, wait_seconds)

    return submitted()


@method(
    "judge.rejudge", JUDGING, "not_found", *_NOT_ACCEPTED,
    judging=_JUDGING,
    problem=Param("text", "the SHA-256 of another package; by default, the same", None, _SHA256),
    **_SUBMITTING,
)  # fmt: skip
def rejudge(
    service: Service, peer: Peer, judging: str, problem: str | None,
    wait_seconds: float, **changes: Any,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """Judge the same files again, as another judging that names the old one, which stays."""
    judgings = service.parts[Judgings]
    found = judgings.find(peer.tenant.name, judging)
    _check(service, peer, problem, changes["priority"])

    async def submitted() -> Answer:
        again = await judgings.rejudge(peer.tenant.name, found, problem=problem, **changes)
        return await _waited(again, wait_seconds)

    return submitted()


@method("judge.status", JUDGING, "not_found", judging=_JUDGING)
@_on_judging
def status(_judgings: Judgings, _peer: Peer, judging: Judging) -> Answer:
    """What is known of a judging now."""
    return judging.status


@method("judge.wait", JUDGING, "not_found", judging=_JUDGING, wait_seconds=_WAIT)
@_on_judging
def wait(_judgings: Judgings, _peer: Peer, judging: Judging, wait_seconds: float) -> Any:
    """What is known of a judging at its end, or when the time is over."""
    return _waited(judging, wait_seconds)


@method(
    "judge.result", JUDGEMENT, "not_found",
    "refused: it has not ended, or was cancelled", "what a status has as `error`: any code",
    judging=_JUDGING, wait_seconds=_WAIT,
)  # fmt: skip
@_on_judging
def result(_judgings: Judgings, _peer: Peer, judging: Judging, wait_seconds: float) -> Any:
    """The judgement; where there is an error in its place, that is raised."""

    def answer() -> Any:
        if not judging.is_over:
            raise RefusedError(f"judging {judging.id} has not ended", 1.0)
        told = judging.status()
        if told["error"] is not None:
            raise error_from_map(told["error"])
        if told["result"] is None:
            raise RefusedError(f"judging {judging.id} was cancelled")
        return told["result"]

    async def waited() -> Answer:
        await _waited(judging, wait_seconds)
        return answer

    return waited()


@method(
    "judge.events",
    Shape({
        "events": Field("array of event", "in order"),
        "next": Field("integer", "what `after` is to be in the next call"),
        "is_end": Field("flag", "nothing comes after these"),
    }),
    "not_found", "invalid_params: `after` is no number that an answer had as `next`",
    judging=_JUDGING,
    after=Param("integer", "`next` of the last answer; 0: from the first on", 0,
                {"most": MOST_INTEGER - (1 << 20)}),
    most_bytes=Param("integer", "answer with about so much, and one event at least", 64 << 10,
                     {"least": 1, "most": _MOST_EVENTS_BYTES}),
    wait_seconds=_WAIT,
)  # fmt: skip
@_on_judging
def events(
    _judgings: Judgings, _peer: Peer, judging: Judging,
    after: int, most_bytes: int, wait_seconds: float,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """What has happened since: each test as it is judged, in whatever order, then the end. Waits
    for one event at least, or for the end."""

    def answer() -> dict[str, Any]:
        found, number = judging.events.after(after, most_bytes)
        return {"events": found, "next": number, "is_end": judging.events.is_end(number)}

    async def waited() -> Answer:
        with trio.move_on_after(wait_seconds):
            await judging.events.readable(after)
        return answer

    return waited()


@method(
    "judge.stream",
    Shape({"subscription": Field("integer", "its number on this connection")}),
    "not_found", "refused: too many streams are open on this connection",
    judging=_JUDGING,
    after=Param("integer", "as of judge.events", 0, {"most": MOST_INTEGER - (1 << 20)}),
    credit_bytes=Param("integer", "push so many bytes", 1 << 20, {"least": 1}),
)  # fmt: skip
@_on_judging
def stream(
    _judgings: Judgings, peer: Peer, judging: Judging, after: int, credit_bytes: int
) -> dict[str, Any]:
    """Have the events pushed as they come, as outputs of jobs are: notifications stream.data, whose
    `data` together are the maps of the events, each msgpack, one behind the other; then stream.end.
    stream.grant and stream.close are for this, too."""
    judging.events.after(after, 1)  # refuses what is no event's number
    return {"subscription": peer.open_stream(judging.events, after, credit_bytes)}


@method("judge.cancel", EMPTY, "not_found", judging=_JUDGING)
@_on_judging
def cancel(judgings: Judgings, peer: Peer, judging: Judging) -> dict[str, Any]:
    """End a judging, and what runs of it. One that is over stays as it is."""
    judgings.cancel(peer.tenant.name, judging)
    return {}


@method(
    "judge.list",
    Shape({"judgings": Field(f"array of {BRIEF_JUDGING.name}", "oldest first")}),
    state=Param("choice", "only those", None, {"choices": STATES}),
    after=Param("text", "only those whose id sorts behind this one", None, {"most_bytes": 64}),
    most=Param("integer", "up to so many", 100, {"least": 1, "most": _MOST_LISTED}),
)  # fmt: skip
def list_judgings(
    service: Service, peer: Peer, state: str | None, after: str | None, most: int
) -> dict[str, Any]:
    """Your judgings, in brief, oldest first."""
    found = service.parts[Judgings].page(peer.tenant.name, state, after or "", most)
    return {"judgings": found}


@method("judge.delete", EMPTY, "not_found", "refused: it has not ended", judging=_JUDGING)
@_on_judging
def delete(judgings: Judgings, peer: Peer, judging: Judging) -> Coroutine[Any, Any, Answer]:
    """Forget a judging that is over, with its files and events."""

    async def deleted() -> Answer:
        await judgings.delete(peer.tenant.name, judging)
        return dict

    return deleted()


@method(
    "judge.languages",
    Shape({
        "languages": Field("array of language", "all that are known"),
        "is_complete": Field("flag", "false: compilers are being asked for their versions"),
    }),
    wait_seconds=_WAIT,
)  # fmt: skip
def languages(service: Service, peer: Peer, wait_seconds: float) -> Coroutine[Any, Any, Answer]:
    """What this host can compile and run. Versions are found out by jobs of whoever asks first."""

    async def found() -> Answer:
        here = await service.parts[Judgings].languages(peer.tenant.name, wait_seconds)
        return lambda: here

    return found()


async def _waited(judging: Judging, wait_seconds: float) -> Answer:
    if wait_seconds and not judging.is_over:
        with trio.move_on_after(wait_seconds):
            await judging.ended()
    return judging.status


def _check(service: Service, peer: Peer, problem: str | None, priority: int) -> None:
    """Raise InvalidParamsError for what this tenant may not ask for."""
    if problem is not None:
        with contextlib.suppress(NotFoundError):
            service.blobs.stat(peer.tenant.name, problem)  # refuses what is no SHA-256
    most = peer.tenant.config.most_priority
    if priority > most:
        problem = f"{priority} is out of range; allowed for {peer.tenant.name}: to {most}"
        raise InvalidParamsError("priority", problem)


def _files(given: Mapping[str, Any]) -> dict[str, Any]:
    """Bytes, or the SHA-256 of a blob, by name. Raises InvalidParamsError naming the file."""
    if not 1 <= len(given) <= _MOST_FILES:
        raise InvalidParamsError("files", f"{len(given)} of them; 1 to {_MOST_FILES}")
    found = dict(_read_files(given))
    for name in found:
        above = name.split("/")[:-1]
        for depth in range(1, len(above) + 1):
            if (outer := "/".join(above[:depth])) in found:
                raise InvalidParamsError(dotted("files", name), f"lies below the file {outer}")
    return found


def _read_files(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in given.items():
        field = dotted("files", name)
        if problem := name_problem(name):
            raise InvalidParamsError(field, problem)
        try:
            if isinstance(value, Mapping):
                yield name, Fields(value, ("blob",), field).text("blob", **_SHA256)
            else:
                yield name, read_data(value, field, 0, _MOST_FILE_BYTES)
        except SpecError as error:
            raise InvalidParamsError(error.field, error.problem) from error


async def _held(service: Service, peer: Peer, sha256: str, held: contextlib.ExitStack) -> Path:
    try:
        return held.enter_context(await service.blobs.hold(peer.tenant.name, sha256)).path
    except NotFoundError as error:
        problem = f"{sha256} is no blob that is held; upload it first"
        raise InvalidParamsError("files", problem) from error
