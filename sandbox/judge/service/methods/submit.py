"""judge.submit and judge.rejudge: have something judged."""

from __future__ import annotations

import contextlib
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

from sandbox.judge.service.judging import Judging, Request
from sandbox.judge.service.judgings import Judgings
from sandbox.judge.service.methods.declared import JUDGING_ID, WAIT, Answer, method, status_at_end
from sandbox.judge.service.shapes import JUDGING
from sandbox.judge.service.submitted import MOST_FILE_BYTES, read_files
from sandbox.server.method import Param
from sandbox.server.service import Peer, Service
from sandbox.spec.errors import RefusedError
from sandbox.wire.errors import InvalidParamsError, NotFoundError

__all__ = ["rejudge", "submit"]

_SHA256 = {"most_bytes": 64}
_SUBMITTING = {
    "key": Param(
        "text", "idempotency key: a second submit under it finds the first one's judging", None,
        {"most_bytes": 128},
    ),
    "label": Param("text", "whatever helps you to know it again", None, {"most_bytes": 256}),
    "priority": Param(
        "integer", "within the tenant; the greatest first", 0, {"least": -100, "most": 100}
    ),
    "wait_seconds": WAIT,
}  # fmt: skip
_NOT_ACCEPTED = (
    "invalid_params: `problem`, no such blob; `files`, a name or a size; `key`, it is that of"
    " another judging",
    "refused: too many are queued, or the server drains",
)


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
    transcribes=Param("flag", "of an interactive problem, tell each dialogue with its test", False),
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
    given = read_files(files)
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
            if sum(sizes) > MOST_FILE_BYTES:
                raise InvalidParamsError("files", f"{sum(sizes)} bytes; up to {MOST_FILE_BYTES}")
            judging = await judgings.submit(peer.tenant.name, request, content)
        return await _told(judgings, judging, wait_seconds)

    return submitted()


@method(
    "judge.rejudge", JUDGING, "not_found", *_NOT_ACCEPTED,
    judging=JUDGING_ID,
    problem=Param("text", "the SHA-256 of another package; by default, the same", None, _SHA256),
    transcribes=Param("flag", "as of judge.submit; by default, the same", None),
    **_SUBMITTING,
)  # fmt: skip
def rejudge(
    service: Service, peer: Peer, judging: str, problem: str | None,
    transcribes: bool | None, wait_seconds: float, **changes: Any,
) -> Coroutine[Any, Any, Answer]:  # fmt: skip
    """Judge the same files again, as another judging that names the old one, which stays."""
    judgings = service.parts[Judgings]
    found = judgings.find(peer.tenant.name, judging)
    _check(service, peer, problem, changes["priority"])
    for name, value in (("problem", problem), ("transcribes", transcribes)):
        if value is not None:
            changes[name] = value

    async def submitted() -> Answer:
        again = await judgings.rejudge(peer.tenant.name, found, **changes)
        return await _told(judgings, again, wait_seconds)

    return submitted()


async def _told(judgings: Judgings, judging: Judging, wait_seconds: float) -> Answer:
    with contextlib.suppress(RefusedError):  # it is accepted, whenever we end
        await status_at_end(judgings, judging, wait_seconds)
    return judging.status


def _check(service: Service, peer: Peer, problem: str | None, priority: int) -> None:
    """Raise InvalidParamsError for what this tenant may not ask for."""
    if problem is not None:
        try:
            service.blobs.stat(peer.tenant.name, problem)  # refuses what is no SHA-256
        except NotFoundError:
            pass
        except InvalidParamsError as error:
            raise InvalidParamsError("problem", error.problem) from error
    most = peer.tenant.config.most_priority
    if priority > most:
        problem = f"{priority} is out of range; allowed for {peer.tenant.name}: to {most}"
        raise InvalidParamsError("priority", problem)


async def _held(service: Service, peer: Peer, sha256: str, held: contextlib.ExitStack) -> Path:
    try:
        return held.enter_context(await service.blobs.hold(peer.tenant.name, sha256)).path
    except NotFoundError as error:
        problem = f"{sha256} is no blob that is held; upload it first"
        raise InvalidParamsError("files", problem) from error
