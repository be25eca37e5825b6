"""What a submission comes to on this host: the job, its policy and limits, and its files."""

import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from stat import S_ISREG
from typing import NamedTuple

import trio

from sandbox.server.admission import Demand
from sandbox.server.blobs import BlobStore, Hold
from sandbox.server.policies import Policies
from sandbox.server.record import Record
from sandbox.server.submission import Submission
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job
from sandbox.spec.limits import Limits
from sandbox.spec.policy import Policy, limits_for
from sandbox.supervisor.cgroup.bandwidth import CORES
from sandbox.supervisor.planner import check_core
from sandbox.wire.errors import NotFoundError
from sandbox.wire.job import Places, job_from_map

__all__ = ["Prepared", "prepare", "release", "stdin_of"]

_PIECE_BYTES = 64 << 10


class Prepared(NamedTuple):
    """One job, ready to be admitted. `release` it when it is over."""

    job: Job
    policy: Policy
    limits: Limits
    kept: dict[bytes, str]  # artifacts that stay with us: path in the job -> name of the file
    holds: tuple[Hold, ...]

    def release(self) -> None:
        """Let go of its blobs."""
        for hold in self.holds:
            hold.release()

    def demand(self) -> Demand:
        """What it takes of the host while it runs."""
        limits = self.limits
        apart_bytes = limits.disk_bytes if self.job.disk_counts == "apart" else 0
        return Demand(
            jobs=1,
            memory_bytes=limits.memory_bytes + apart_bytes,
            cpus=min(limits.cpus, CORES),
            processes=limits.processes,
            uids=1,
            disk_bytes=limits.output_bytes + (limits.disk_bytes if self.kept else 0),
        )


async def prepare(
    tenant: str, submission: Submission, blobs: BlobStore, policies: Policies, directory: Path
) -> Prepared:
    """Read and check the submitted job, and hold its blobs. `directory`: of its files.

    Raises SpecError naming the field.
    """
    fields: dict[Path, str] = {}  # of each blob; its path is known when it is held
    names: list[str] = []

    def blob(sha256: str, field: str) -> Path:
        stand_in = Path(f"\0{sha256}")
        fields.setdefault(stand_in, field)
        return stand_in

    def kept(_field: str) -> Path:
        names.append(f"artifact-{len(names)}")
        return directory / names[-1]

    job = job_from_map(submission.job, Places(submission.is_local, blob, kept))
    policy = policies.get(job.policy)
    limits = limits_for(job, policy)
    check_core(limits)
    ours = {directory / name: name for name in names}
    artifacts = {a.path: ours[a.destination] for a in job.artifacts if a.destination in ours}
    holds = await _hold(tenant, fields, blobs)
    return Prepared(_placed(job, holds), policy, limits, artifacts, tuple(holds.values()))


async def _hold(tenant: str, fields: dict[Path, str], blobs: BlobStore) -> dict[Path, Hold]:
    holds: dict[Path, Hold] = {}
    try:
        for stand_in, field in fields.items():
            sha256 = stand_in.name[1:]
            try:
                holds[stand_in] = await blobs.hold(tenant, sha256)
            except NotFoundError as error:
                problem = f"{sha256} is no blob that is held; upload it first"
                raise SpecError(field, problem) from error
    except BaseException:
        for hold in holds.values():
            hold.release()
        raise
    return holds


def _placed(job: Job, holds: dict[Path, Hold]) -> Job:
    if not holds:
        return job
    paths = {stand_in: hold.path for stand_in, hold in holds.items()}
    return job._replace(
        stdin=job.stdin and paths.get(job.stdin, job.stdin),
        inputs=tuple(
            item._replace(source=paths.get(item.source, item.source)) for item in job.inputs
        ),
    )


def release(prepared: Iterable[Prepared]) -> None:
    """Let go of the blobs of all of these."""
    for one in prepared:
        one.release()


def stdin_of(record: Record, job: Job) -> AsyncIterator[bytes] | None:
    """What the job is to read; None: nothing."""
    if record.submission.stdin_open:
        return record.input.pieces()
    if job.stdin is not None:
        return _file(job.stdin)
    return _once(record.submission.stdin) if record.submission.stdin else None


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _file(path: Path) -> AsyncIterator[bytes]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SpecError("stdin", f"{path}: {error.strerror}") from error
    try:
        if not S_ISREG(os.fstat(fd).st_mode):
            raise SpecError("stdin", f"{path} is no regular file; write to an open stdin instead")
        while piece := os.read(fd, _PIECE_BYTES):
            yield piece
            await trio.lowlevel.checkpoint()
    finally:
        os.close(fd)
