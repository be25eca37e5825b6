"""The log: one line an event whatever it holds, and a stderr that never stops the server."""

import contextlib
import fcntl
import json
import os
import pty
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.server.log import Log
from sandbox.server.log_lines import FORMATS, MOST_LINE_BYTES, RENDER
from sandbox.spec.result import Result

ROOT = Path(__file__).resolve().parents[2]
NOON = 1764072000.25  # 2025-11-25T12:00:00.25Z
RESULT = Result(
    "memory", None, 9, ("memory.events oom_kill=1", "peak 64.0 MiB of 64 MiB"), 0.053, 0.05, 0.003,
    0.078, 64 << 20, {}, 1, 0.0, 0, 0, 0, 0, 0, {}, {}, {}, {}, {}, {},
)  # fmt: skip
JOB: dict[str, Any] = {
    "tenant": "judge", "job": "01933f5c0a7be2d94c1f08", "label": "run 7", "policy": "native",
    "runs": 1, "queued_seconds": 0.00125,
}  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


class Written:
    """A log into a file, and what it wrote."""

    def __init__(self, path: Path, line_format: str, **options: Any) -> None:
        self._path = path
        self.clock = Clock()
        with path.open("wb") as file:
            options = {"environ": {}, **options}
            self.log = Log(line_format, file.fileno(), now=self.clock, **options)

    def lines(self) -> list[str]:
        return self._path.read_text().splitlines()

    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


@pytest.fixture
def human(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "log", "human")
    yield written
    written.log.close()


@pytest.fixture
def as_json(tmp_path: Path) -> Iterator[Written]:
    written = Written(tmp_path / "log", "json")
    yield written
    written.log.close()


def test_a_job_is_one_line_for_people(human: Written) -> None:
    human.log.job(**JOB, result=RESULT)
    assert human.lines() == [
        '2025-11-25T12:00:00.250Z job tenant=judge job=01933f5c0a7be2d94c1f08 label="run 7" '
        "verdict=memory signal=9 cpu=0.053s wall=0.078s memory_peak=64.0MiB queued=0.001s "
        'policy=native runs=1 evidence="memory.events oom_kill=1; peak 64.0 MiB of 64 MiB"'
    ]


def test_a_job_is_one_object_with_every_key_for_programs(as_json: Written) -> None:
    as_json.log.job(**JOB, result=RESULT)
    as_json.log.job(**JOB, error={"code": "lost", "message": "the supervisor was killed"})
    ended, lost = as_json.documents()
    assert ended == {
        "time": "2025-11-25T12:00:00.250Z", "event": "job", "tenant": "judge",
        "job": "01933f5c0a7be2d94c1f08", "label": "run 7", "verdict": "memory", "exit_code": None,
        "signal": 9, "cpu_seconds": 0.053, "wall_seconds": 0.078, "memory_peak_bytes": 64 << 20,
        "queued_seconds": 0.00125, "policy": "native", "runs": 1,
        "evidence": ["memory.events oom_kill=1", "peak 64.0 MiB of 64 MiB"],
        "error_code": None, "error": None,
    }  # fmt: skip
    assert lost.keys() == ended.keys()
    assert (lost["verdict"], lost["error_code"]) == (None, "lost")


def test_a_bug_is_told_with_the_place_where_it_happened(as_json: Written) -> None:
    def fail(depth: int) -> None:
        if depth == 0:
            raise ValueError("at the bottom")
        fail(depth - 1)

    try:
        fail(40)
    except ValueError as error:
        as_json.log.bug(error, job="7")
    (document,) = as_json.documents()
    assert (document["event"], document["job"]) == ("bug", "7")
    assert document["error"] == "ValueError('at the bottom')"
    assert 'raise ValueError("at the bottom")' in document["traceback"]


@pytest.mark.parametrize("line_format", FORMATS)
def test_the_journal_gets_a_level_and_keeps_the_time_itself(
    tmp_path: Path, line_format: str
) -> None:
    path = tmp_path / "log"
    path.touch()
    status = path.stat()
    environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}", "A": "b"}
    written = Written(path, line_format, environ=environ)
    written.log.event("started", version="1")
    written.log.event("reload_refused", level="error", error="x")
    written.log.event("protocol_error", level="warning", tenant="t")
    assert [line[:3] for line in written.lines()] == ["<6>", "<3>", "<4>"]
    assert ("2025" in written.lines()[0]) == (line_format == "json")
    assert environ == {"A": "b"}
    written.log.close()


def test_another_streams_journal_is_not_ours(tmp_path: Path) -> None:
    written = Written(tmp_path / "log", "human", environ={"JOURNAL_STREAM": "1:2"})
    written.log.event("started")
    assert written.lines() == ["2025-11-25T12:00:00.250Z started"]
    written.log.close()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "x=plain"),
        ("", 'x=""'),
        ("a b", 'x="a b"'),
        ("a=b", 'x="a=b"'),
        ('say "x"', r'x="say \"x\""'),
        ("back\\n", r'x="back\\n"'),
        ("new\nline", r'x="new\nline"'),
        ("\x1b]0;title\x07", r'x="\x1b]0;title\x07"'),
        ("\x9b31m\x7f", r'x="\x9b31m\x7f"'),
        ("\u202etxt.exe", r'x="\u202etxt.exe"'),
        ("\u2028", r'x="\u2028"'),
        ("\udcff", r'x="\udcff"'),
        (b"\xff\x00", r'x="\\xff\x00"'),
        ("é", 'x="é"'),
        (("a", "b"), 'x="a; b"'),
        (True, "x=true"),
    ],
    ids=repr,
)
def test_hostile_text_is_shown_and_not_obeyed(human: Written, text: Any, shown: str) -> None:
    human.log.event("e", x=text)
    assert human.lines() == [f"2025-11-25T12:00:00.250Z e {shown}"]


_VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=40)
_TEXT = st.text(max_size=40) | st.text("a\x1b\n\x7f\x9b\u202e\ud800\udcff", max_size=9)


@given(st.dictionaries(st.sampled_from("abcdefgh"), _VALUES | _TEXT | st.lists(_TEXT, max_size=12)))
def test_any_fields_are_one_short_line_of_either_format(fields: dict[str, Any]) -> None:
    for name in FORMATS:
        line = RENDER[name](NOON, "event", fields)
        assert line.isprintable()
        assert len(line.encode()) < MOST_LINE_BYTES
    document = json.loads(line)
    assert document.keys() == {"time", "event", *fields}


def test_the_longest_texts_still_fit_where_a_pipe_takes_whole_lines() -> None:
    fields = {f"field_{number}": "\U0001f600\x01" * 4000 for number in range(12)}
    for render in RENDER.values():
        assert len(render(NOON, "e", fields).encode()) < MOST_LINE_BYTES


def test_a_flood_of_one_tenant_hides_nothing_of_another(as_json: Written) -> None:
    for _ in range(1000):
        as_json.log.event("protocol_error", tenant="hostile")
    as_json.log.event("protocol_error", tenant="honest")
    as_json.log.event("started")
    as_json.log.job(**JOB)
    tenants = [document.get("tenant") for document in as_json.documents()]
    assert tenants == ["hostile"] * 20 + ["honest", None, "judge"]
    as_json.clock.now += 2
    as_json.log.event("protocol_error", tenant="hostile")
    assert as_json.documents()[-1]["suppressed"] == 980


def test_what_a_flood_left_out_is_told_at_the_end(as_json: Written) -> None:
    for _ in range(25):
        as_json.log.event("e", tenant="a")
    as_json.log.close()
    assert as_json.documents()[-1] | {"time": ""} == {
        "time": "", "event": "e", "tenant": "a", "suppressed": 5,
    }  # fmt: skip


def test_floods_of_any_names_take_bounded_memory(as_json: Written) -> None:
    for number in range(5000):
        as_json.log.event("e", tenant=f"t{number}")
    assert len(as_json.log._floods) <= 1025
    assert len(as_json.lines()) == 1024 + 20


def test_a_clock_that_is_set_back_silences_nobody_for_good(as_json: Written) -> None:
    for _ in range(30):
        as_json.log.event("e")
    as_json.clock.now -= 86400
    as_json.log.event("e")
    as_json.clock.now += 2
    as_json.log.event("e")
    assert as_json.documents()[-1]["suppressed"] == 11


class Full(contextlib.AbstractContextManager["Full"]):
    """A stream that nobody reads, of each kind that stderr may be."""

    def __init__(self, kind: str) -> None:
        self._socket: socket.socket | None = None
        if kind == "pipe":
            self.read_fd, self.fd = os.pipe()
        elif kind == "terminal":
            self.read_fd, self.fd = pty.openpty()
        else:
            ours, theirs = socket.socketpair()
            self.read_fd, self.fd = ours.detach(), theirs.detach()

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
        os.close(self.read_fd)

    def read(self) -> bytes:
        os.set_blocking(self.read_fd, False)
        found = b""
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.read_fd, 65536):
                found += piece
        return found.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("kind", ["pipe", "terminal", "socket"])
def test_a_stderr_that_nobody_reads_costs_lines_and_no_time(kind: str) -> None:
    with Full(kind) as full:
        log = Log("json", full.fd, environ={}, now=lambda: NOON)
        written = 0
        while log.dropped_lines < 3:
            log.job(**JOB, result=RESULT)
            written += 1
            assert written < 100_000, "nothing ever fills"
        assert os.get_blocking(full.fd), "others share the open file"
        found = full.read()
        log.job(**JOB)
        found += full.read()
        # Whole lines only, and none is missing that was not counted.
        events = [json.loads(line)["event"] for line in found.decode().splitlines()]
        assert events.count("job") == written - 3 + 1
        assert events[-2:] == ["log_dropped", "job"]
        log.close()


@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_a_stderr_whose_reader_is_gone_is_no_trouble(kind: str) -> None:
    full = Full(kind)
    log = Log("json", full.fd, environ={})
    os.close(full.read_fd)
    log.event("e")
    os.close(full.fd)
    log.event("e")
    assert log.dropped_lines == 2
    log.close()
    log.close()


def test_a_stderr_that_may_not_be_opened_again_does_not_block_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(path: object, *_: object) -> int:
        raise PermissionError(path)

    with Full("pipe") as full:
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refused)
            log = Log("json", full.fd, environ={})
        while log.dropped_lines < 3:
            log.job(**JOB)
        assert all(json.loads(line) for line in full.read().decode().splitlines())
        log.close()


@pytest.mark.parametrize("fd", [2, 9])
def test_a_closed_stderr_is_plugged(fd: int) -> None:
    """Else the next file that is opened, such as a database, would get every traceback."""
    code = (
        f"import os; from sandbox.server.log import Log; log = Log('json', {fd}); log.event('e')\n"
        f"print(os.readlink('/proc/self/fd/{fd}'), log.dropped_lines)"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {fd}>&-', "sh", sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "/dev/null 1\n"


def test_a_log_leaves_no_fd_behind_and_none_to_children() -> None:
    before = set(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with Full("pipe") as full:
        log = Log("json", full.fd, environ={})
        held = [int(fd) for fd in os.listdir("/proc/self/fd")]  # noqa: PTH208
        for fd in held:
            if str(fd) not in before and fd not in (full.fd, full.read_fd):
                with contextlib.suppress(OSError):  # the one that listed them
                    assert fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
        log.close()
    assert set(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


@pytest.mark.parametrize("line_format", FORMATS)
def test_the_document_shows_a_line_as_it_is(tmp_path: Path, line_format: str) -> None:
    written = Written(tmp_path / "log", line_format)
    written.log.job(**JOB, result=RESULT)
    written.log.close()
    assert written.lines()[0] in (ROOT / "docs/operations.md").read_text().splitlines()
