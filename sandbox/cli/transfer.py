"""Files of this host for a server that cannot see them: inputs go as blobs, artifacts come back."""

from __future__ import annotations

import os
import stat

from sandbox.client import calls
from sandbox.client.operations import carry_out, upload
from sandbox.client.requests import job_map
from sandbox.client.sources import open_source
from sandbox.spec.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from sandbox.client.link import Link
    from sandbox.client.replies import ArtifactInfo

__all__ = ["Fetch", "fetch", "send_inputs", "take_fetches"]

_MOST_FILES = 4096  # of one `ro` or `copy`, as a server takes


class Fetch:
    """One artifact, and where it goes here."""

    def __init__(self, path: str, destination: str) -> None:
        self.path, self.destination = path, destination


def send_inputs(link: Link, document: dict[str, Any]) -> tuple[dict[str, Any], list[Fetch]]:
    """The job with its inputs as blobs, which are uploaded where they are not held; and what of
    it is to be fetched. Raises SpecError naming the file; RefusedError: no room for them.
    """
    job = job_map(document)
    for key in ("ro", "copy"):
        if key in job:
            job[key] = [
                {"blob": _upload(link, path, key), "destination": destination}
                for path, destination in _files(job[key], key)
            ]
    return job, take_fetches(job)


def take_fetches(job: dict[str, Any]) -> list[Fetch]:
    """What of the job is to be fetched; the server keeps it until then."""
    fetches = []
    for entry in job.get("collect", ()):
        if (destination := entry.pop("destination", None)) is not None:
            fetches.append(Fetch(os.fsdecode(entry["path"]), os.fsdecode(destination)))
    return fetches


def fetch(link: Link, job: str, kept: dict[str, ArtifactInfo], one: Fetch) -> str:
    """Write one artifact where it goes: what became of it, as a result says it."""
    found = _find(kept, one.path)
    if found is None:
        return "not collected: the job has left none"
    path, info = found
    mode = 0o777 if info.is_executable else 0o666
    try:
        fd = os.open(one.destination, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    except OSError as error:
        return f"not collected: {one.destination}: {error.strerror}"
    with open(fd, "wb") as file:
        offset, is_end = 0, False
        while not is_end:
            piece = link.ask(calls.read_artifact(job, path, offset))
            file.write(piece.data)
            offset, is_end = offset + len(piece.data), piece.is_end
    return f"collected {offset} bytes"


def _find(kept: dict[str, ArtifactInfo], path: str) -> tuple[str, ArtifactInfo] | None:
    # What the job named relative to its directory comes back absolute.
    for name, info in kept.items():
        if name == path or name.endswith(f"/{path.removeprefix('./')}"):
            return name, info
    return None


def _files(entries: list[Any], field: str) -> Iterator[tuple[str, str]]:
    count = 0
    for entry in entries:
        source = os.fsdecode(entry["source"])
        default = os.path.basename(os.path.abspath(source))
        destination = os.fsdecode(entry.get("destination") or default)
        for path, below in _walk(source, field):
            count += 1
            if count > _MOST_FILES:
                problem = f"{source}: over {_MOST_FILES} files; send an archive, and unpack it"
                raise SpecError(field, f"{problem} in the job")
            yield path, f"{destination}/{below}" if below else destination


def _walk(top: str, field: str) -> Iterator[tuple[str, str]]:
    try:
        if not stat.S_ISDIR(os.stat(top).st_mode):
            yield top, ""
            return
    except OSError as error:
        raise SpecError(field, f"{top}: {error.strerror}") from error
    real_top = os.path.realpath(top)
    for directory, _, names in os.walk(top):
        for name in names:
            path = os.path.join(directory, name)
            # A link may be somebody else's, and lead to what only we may read.
            if not os.path.realpath(path).startswith(real_top.rstrip("/") + "/"):
                raise SpecError(field, f"{path} is a link that leads out of {top}")
            yield path, os.path.relpath(path, top)


def _upload(link: Link, path: str, field: str) -> str:
    try:
        is_regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise SpecError(field, f"{path}: {error.strerror}") from error
    if not is_regular:
        raise SpecError(field, f"{path} is no regular file, and only those can be sent")
    with open_source(path) as source:
        return carry_out(upload(source), link.ask)
