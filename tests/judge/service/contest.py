"""A small problem package, submissions to it, and a client that uploads and judges them."""

import hashlib
import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from typing import Any

from server.daemon import PATIENCE_SECONDS, Client, Daemon

__all__ = [
    "HELD_AFTER_A_TEST", "RIGHT", "WRONG", "events_up_to_a_test", "judged", "package", "restart",
    "tarred", "upload", "with_quota", "zipped",
]  # fmt: skip

_YAML = "name: Double\nlimits:\n  time_limit: 2.0\nproblem_format_version: 2023-07-draft\n"
RIGHT = b"print(2 * int(input()))\n"
WRONG = b"n = int(input())\nprint(2 * n if n < 2 else 0)\n"
# A change of the daemon: one test is judged, and told; then it goes no further.
HELD_AFTER_A_TEST = """
import sys, trio
from sandbox.judge.trial import Trials
run = Trials.run
async def held(self, built, test, limit):
    if test.name.endswith("1"):
        return await run(self, built, test, limit)
    print('{"event": "held"}', file=sys.stderr, flush=True)
    await trio.sleep_forever()
Trials.run = held
"""


def package(tests: int = 3, **files: bytes) -> dict[str, bytes]:
    """The files of a package: its tests are 1 to `tests`, to be doubled. `files`: other ones."""
    found = {"problem.yaml": _YAML.encode()}
    for number in range(1, tests + 1):
        found[f"data/secret/{number:04}.in"] = b"%d\n" % number
        found[f"data/secret/{number:04}.ans"] = b"%d\n" % (2 * number)
    return found | files


def zipped(files: Mapping[str, bytes], top: str = "") -> bytes:
    """A zip of them, below a directory of this name."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(top + name)  # of 1980, so that it is the same tomorrow
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def tarred(files: Mapping[str, bytes | tarfile.TarInfo], compression: str = "gz") -> bytes:
    """A tar; an entry may be a whole header, whose name is taken as it is."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:
        for name, data in files.items():
            if isinstance(data, tarfile.TarInfo):
                archive.addfile(data)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def upload(client: Client, data: bytes) -> str:
    """Its name as a blob."""
    sha256 = hashlib.sha256(data).hexdigest()
    for offset in range(0, max(1, len(data)), 256 << 10):
        client.call(
            "blob.put", sha256=sha256, bytes=len(data), offset=offset,
            data=data[offset : offset + (256 << 10)],
        )  # fmt: skip
    return sha256


def judged(client: Client, problem: str, source: bytes, **params: Any) -> dict[str, Any]:
    """The status of a judging of one Python file, at its end."""
    told = client.call("judge.submit", problem=problem, files={"a.py": source}, **params)
    told = client.call("judge.wait", judging=told["judging"], wait_seconds=PATIENCE_SECONDS)
    assert told["ended_at"] is not None, told
    return told


def events_up_to_a_test(client: Client, judging: str) -> int:
    """Wait until a test of it is judged: the number of the event behind that."""
    after, seen = 0, set()
    while "test" not in seen:
        told = client.call(
            "judge.events", judging=judging, after=after, wait_seconds=PATIENCE_SECONDS
        )
        assert told["events"]
        after, seen = told["next"], {event["event"] for event in told["events"]}
    return after


def restart(daemon: Daemon, change: str | None = None) -> None:
    """Start it again; one that runs ends in order before."""
    if daemon.process is not None:
        daemon.drain()
    daemon.start(change=change)


def with_quota(size: str) -> str:
    """A configuration by which we may have so much of blobs, and of packages."""
    return f'[tenants.judge]\nusers = [{os.getuid()}]\nblob_bytes = "{size}"\n'
