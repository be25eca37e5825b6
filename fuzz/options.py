"""The command line: whatever its words are, a Job or a SpecError that names the word.

An input is words, each behind the byte 0. What is before the first says what they are for: of an
odd length, they are those of `run`; else each is tried as an address, a size, a time, a number.
"""

import os
from pathlib import Path

from fuzz.driver import main
from sandbox.cli.document import read_document
from sandbox.cli.job_options import LIMITS, SETTINGS
from sandbox.cli.options import parse_options
from sandbox.cli.run import _OPTIONS
from sandbox.client.address import find_credentials, parse_address
from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.limits import Limits
from sandbox.spec.quantities import (
    format_seconds,
    format_size,
    parse_count,
    parse_cpus,
    parse_seconds,
    parse_size,
)

__all__ = ["TOKENS", "require_inside", "target"]

_MOST = 1 << 60
_VALUES = (
    b"", b"/", b"..", b"/usr", b"/usr:/work/usr", b"/etc/hostname:h", b"a=b", b"=", b":", b"none",
    b"1", b"0.5", b"64MiB", b"64MiB:100", b"1MB", b"2s", b"500ms", b"1e9", b"-1", b"9" * 5000,
    b"kernel", b"memory=kernel", b"strict", b"/nowhere.toml", b"../work/x=y", b"\xff", b"a/../b",
    b"/a" * 2100,
)  # fmt: skip
TOKENS = (
    *(b"\0" + n.encode() + b"\0" for n in (*SETTINGS, *LIMITS, "--", "--spec", "--json")),
    *(b"\0" + value for value in _VALUES), b"=", b"\0true",
    b"unix:", b"tcp:127.0.0.1:1", b"tls:[::1]:65535", b"tcp:localhost:", b"000080", b"65536",
)  # fmt: skip


def target(data: bytes) -> None:
    """Nothing but a SpecError, in words that can be printed; what is accepted is in its bounds."""
    words = [os.fsdecode(word) for word in data.split(b"\0")]  # as the kernel hands them over
    if len(words[0]) % 2:
        _run(words[1:])
    else:
        for word in words[1:]:
            _read(word)


def _run(words: list[str]) -> None:
    try:
        given, command = parse_options(words, _OPTIONS)
        settings = [option for option in given if option[0] in SETTINGS or option[0] in LIMITS]
        document, origins = read_document(settings, command, None, "/")
    except SpecError as error:
        _require_told(error)
        return
    try:
        job = job_from_mapping(document, Path("/"))
    except SpecError as error:
        _require_told(origins.explain(error))
        return
    assert command and job.command == tuple(map(os.fsencode, command))
    require_inside(job)


def require_inside(job: Job) -> None:
    """Each place is named as it is, and is none of the sandbox's own."""
    places = [job.cwd, *(i.destination for i in job.inputs), *(a.path for a in job.artifacts)]
    for place in places:
        first, *parts = place.split(b"/")
        assert len(place) < 4096 and len(parts) <= 128
        assert first == b"" and parts and not {b"", b".", b".."} & set(parts), place
        assert parts[0] not in (b"proc", b"sys")
        assert parts[0] != b"dev" or parts[1] == b"shm", place
    assert len({i.destination for i in job.inputs}) == len(job.inputs)
    assert job.limits.keys() <= set(Limits._fields)
    assert b"\0" not in b"".join(job.command)


def _read(word: str) -> None:
    readers = (
        lambda: parse_size(word, "w", least=1, most=_MOST),
        lambda: parse_seconds(word, "w", least=0, most=_MOST),
        lambda: parse_count(word, "w", least=0, most=_MOST),
        lambda: parse_cpus(word, "w", least=0.01, most=_MOST),
    )
    for read in readers:
        try:
            value = read()
        except SpecError as error:
            _require_told(error)
        else:
            assert 0 <= value <= _MOST
    _read_back(word)
    try:
        address = parse_address(word)
    except SpecError as error:
        _require_told(error)
    else:
        assert address.path is not None or (address.host and 0 < address.port < 1 << 16)
        assert address.path is None or len(os.fsencode(address.path)) < 108
    try:
        token = find_credentials({"SANDBOX_TOKEN": word}).token
    except SpecError as error:
        _require_told(error)
    else:
        assert token is None or (token.isascii() and token.isprintable())


def _read_back(word: str) -> None:
    """A value that is written is read as itself."""
    try:
        size = parse_size(word, "w", least=1, most=_MOST)
        assert parse_size(format_size(size), "w", least=1, most=_MOST) == size
        seconds = parse_seconds(word, "w", least=0.001, most=1e15)
        assert parse_seconds(format_seconds(seconds), "w", least=0.001, most=1e15) == seconds
    except SpecError as error:
        _require_told(error)


def _require_told(error: SpecError) -> None:
    # The field may be a word as it was given, which main() prints by `printable`.
    assert error.field is not None and error.problem.isprintable(), repr(str(error))


if __name__ == "__main__":
    main("options", target, TOKENS)
