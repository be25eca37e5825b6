"""The machine: its bytes are its listing's, it needs nothing, and it does what scripts say."""

import os
import random
import re
import shutil
import struct
import subprocess
from errno import EACCES, EBADF, EEXIST, ENOENT, ENOEXEC, ENOTDIR
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import pyseccomp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside.assembled import AUDIT_ARCH, LISTINGS, assemble, labels, tool
from inside.running import Machine

from sandbox.boundary.report import REPORT_FD, Kind, Report
from sandbox.inside import machine as machines
from sandbox.inside.init import CONTROL_FD
from sandbox.inside.machine import machine_image, machine_job
from sandbox.inside.script import ANY, AT_FDCWD, LATE_AT, MOST_LATE_BYTES, Script
from sandbox.kernel.numbers import BY_MACHINE

TEXTS = st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"")), max_size=8)
NEXT_FD = CONTROL_FD + 1  # the lowest that is free in a machine that we start
STATX_SIZE, STX_SIZE_AT = 0x200, 40  # <linux/stat.h>
READING, WRITING = os.O_RDONLY | os.O_CLOEXEC, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC


@pytest.mark.parametrize("name", BY_MACHINE)
def test_the_bytes_are_those_of_the_listing(name: str, tmp_path: Path) -> None:
    unit, code = tmp_path / "o", tmp_path / "bin"
    assemble(name, unit)
    subprocess.run([tool(name, "objcopy"), "-O", "binary", "-j", ".text", unit, code], check=True)
    assert code.read_bytes() == machines._CODE[name]
    at = labels(name, unit)
    assert (at["spawn"], at["start"]) == (0, machines._START[name])


@pytest.mark.parametrize("name", BY_MACHINE)
def test_the_numbers_in_a_listing_are_those_of_the_calls_that_it_names(name: str) -> None:
    listing = (LISTINGS / f"machine_{name}.S").read_text()
    called = re.findall(
        r"(?:mov +(?:eax|x8), #?|xor +eax, ea)(\w+) +(?:#|//) (\w+)$", listing, re.M
    )
    assert len(called) > 15
    for number, call in called:
        assert int(number.replace("x", "0")) == pyseccomp.resolve_syscall(AUDIT_ARCH[name], call)


@pytest.mark.parametrize("name", BY_MACHINE)
def test_an_image_is_an_executable_that_needs_nothing(name: str, tmp_path: Path) -> None:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf here (package binutils)")
    image = tmp_path / "machine"
    image.write_bytes(machine_image(name))
    found = subprocess.run(["readelf", "-hlW", image], check=True, capture_output=True, text=True)
    assert not found.stderr, "readelf warns of a broken file"
    loads = [line.split() for line in found.stdout.splitlines() if line.strip().startswith("LOAD")]
    flags = ["".join(fields[6:-1]) for fields in loads]
    assert flags == ["RE", "RW"], "no page is writable and executable"
    assert "INTERP" not in found.stdout and "GNU_STACK" in found.stdout


def read_strings(memory: bytes, at: int) -> list[bytes]:
    """A null-terminated array of pointers to strings, at an address of the machine's."""
    found = []
    while pointer := struct.unpack_from("<Q", memory, at - LATE_AT)[0]:
        start = pointer - LATE_AT
        found.append(memory[start : memory.index(b"\0", start)])
        at += 8
    return found


@given(argv=TEXTS, environment=TEXTS, paths=TEXTS)
def test_a_job_has_its_strings_where_its_pointers_say(
    argv: list[bytes], environment: list[bytes], paths: list[bytes]
) -> None:
    job = machine_job(argv, environment, paths)
    size, *arrays = struct.unpack_from("<4Q", job)
    assert size == len(job) - 8
    assert [read_strings(job, at) for at in arrays] == [argv, environment, paths]


@pytest.mark.parametrize(
    "argv", [[b"a\0b"], [b"x" * MOST_LATE_BYTES], [b""] * (MOST_LATE_BYTES // 8)]
)
def test_a_job_that_cannot_be_laid_out_is_refused(argv: list[bytes]) -> None:
    with pytest.raises(ValueError):
        machine_job(argv, [], [b"/bin/true"])


def begin(at_step: int = 7) -> Script:
    script = Script(CONTROL_FD, range(NEXT_FD))
    script.step = at_step
    return script


def late() -> Script:
    return Script(CONTROL_FD, range(NEXT_FD), at=LATE_AT)


def say(script: Script, text: bytes) -> None:
    script.call("write", CONTROL_FD, script.data(text), len(text), result=len(text))


def outcome(machine: Machine, *sent: bytes) -> bytes:
    """What a machine says that is sent this and then EOF, with which it ends."""
    with machine.run() as running:
        running.control.sendall(b"".join(sent))
        said = running.said()
        assert running.exit_code() == 1
    return said


def failed(step: int, errno: int) -> bytes:
    return Report(Kind.FAILED, step, errno).pack()


class Call(NamedTuple):
    """A call, the result that it must have, and what comes of it."""

    name: str
    argument: int
    result: int
    tolerated: int = 0
    told: int | None = None  # None: the next call is made


CALLS = {
    "as it should be": Call("umask", 0o777, 0o22),
    "as it should be, and that is an error": Call("close", 77, -EBADF),
    "another result": Call("umask", 0o777, 0o23, told=0),
    "zero where another result should be": Call("close", 0, 1, told=0),
    "no error where one should be": Call("close", 0, -EBADF, told=0),
    "an error": Call("close", 77, 0, told=EBADF),
    "another error than it should be": Call("close", 77, -EACCES, told=EBADF),
    "anything": Call("umask", 0o777, ANY),
    "anything, and it is zero": Call("close", 0, ANY),
    "anything, and it is an error": Call("close", 77, ANY, told=EBADF),
    "tolerated": Call("close", 77, 0, EBADF),
    "tolerated where anything is right": Call("close", 77, ANY, EBADF),
    "another error than is tolerated": Call("close", 77, 0, EEXIST, told=EBADF),
    "as it should be, an error is tolerated": Call("umask", 0o777, 0o22, EBADF),
    "another result, an error is tolerated": Call("umask", 0o777, 0o23, EBADF, told=0),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_call_leads_on_or_is_told(machine: Machine, call: Call) -> None:
    script = begin(at_step=200)
    script.call("umask", 0o22)
    script.call(call.name, call.argument, result=call.result, tolerated=call.tolerated)
    script.step = 201
    say(script, b"on")
    script.await_byte(CONTROL_FD)
    expected = b"on" if call.told is None else failed(200, call.told)
    assert outcome(machine, script.pack()) == expected


def test_a_failure_is_told_where_its_call_says(machine: Machine) -> None:
    script = begin()
    script.report_fd = REPORT_FD
    script.call("close", 77)
    with machine.run() as running:
        running.send(script.pack())
        assert running.report.recv(100) == failed(7, EBADF)
        assert running.said() == b""


def test_a_fifth_argument_is_passed(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    script = begin()
    found = script.space(256)
    script.check("statx", AT_FDCWD, bytes(tmp_path / "file"), 0, STATX_SIZE, found)
    script.expect(found + STX_SIZE_AT, struct.pack("<Q", 5))
    say(script, b"on")
    script.await_byte(CONTROL_FD)
    assert outcome(machine, script.pack()) == b"on"


@pytest.mark.parametrize("equal", [True, False])
def test_what_the_kernel_wrote_is_compared(machine: Machine, equal: bool) -> None:
    script = begin()
    found = script.space(8)
    script.call("pipe2", found, os.O_CLOEXEC)
    fds = script.take_fds(2)
    script.expect(found, b"")
    script.expect(found, struct.pack("<2i", *fds)[: None if equal else 7] + b"\1" * (not equal))
    say(script, b"on")
    script.await_byte(CONTROL_FD)
    assert outcome(machine, script.pack()) == (b"on" if equal else failed(7, 0))


def test_a_forked_child_goes_on_elsewhere_in_a_memory_of_its_own(machine: Machine) -> None:
    script = begin()
    mark = script.space(8)
    script.call("pipe2", script.space(8), os.O_CLOEXEC)
    read_fd, write_fd = script.take_fds(2)

    def write_child() -> None:
        say(script, b"child, ")
        script.call("pipe2", mark, os.O_CLOEXEC)
        script.call("write", write_fd, b"1", 1, result=1)
        script.await_byte(0)  # EOF, with which it ends

    place = machine.fork(script, write_child)
    script.await_byte(read_fd)
    script.expect(mark, bytes(8))
    say(script, b"parent")
    script.await_byte(CONTROL_FD)
    place()
    assert outcome(machine, script.pack()) == b"child, parent"


def test_a_pid_that_is_not_the_expected_one_is_told(machine: Machine) -> None:
    script = begin()
    place = machine.fork(script, lambda: script.await_byte(CONTROL_FD), pid=1)
    place()
    assert outcome(machine, script.pack()) == failed(7, 0)


def test_a_byte_is_awaited(machine: Machine) -> None:
    script = begin()
    say(script, b"1")
    script.await_byte(CONTROL_FD)
    say(script, b"2")
    script.await_byte(CONTROL_FD)
    with machine.run() as running:
        running.send(script.pack())
        assert running.control.recv(100) == b"1"
        running.control.send(b"?")
        assert running.control.recv(100) == b"2"
        assert running.said() == b""


def test_a_script_comes_after_another_and_the_last_returns(machine: Machine) -> None:
    first, second, third = begin(), late(), late()
    say(first, b"1")
    first.load_next(CONTROL_FD, returns=True)
    say(first, b"4")
    first.load_next(CONTROL_FD, returns=True)
    first.call("close", 77)
    say(second, b"2")
    second.load_next(CONTROL_FD, returns=False)
    say(third, b"3")
    third.end()
    again = late()
    say(again, b"5")
    again.end()
    scripts = (script.pack() for script in (first, second, third, again))
    assert outcome(machine, *scripts) == b"12345" + failed(7, EBADF)


def test_a_script_may_come_from_elsewhere(machine: Machine) -> None:
    script, other = begin(), late()
    script.load_next(REPORT_FD, returns=True)
    say(script, b"on")
    script.await_byte(CONTROL_FD)
    say(other, b"other, ")
    other.end()
    with machine.run() as running:
        running.send(script.pack())
        running.report.sendall(other.pack())
        assert running.control.recv(7) == b"other, "
        assert running.said() == b"on"


@pytest.mark.parametrize("size", [0, 1, 65536, 65537, 300_000])
def test_so_many_bytes_are_copied(machine: Machine, size: int, tmp_path: Path) -> None:
    content = random.Random(size).randbytes(size)
    target = tmp_path / "copied"
    script = begin()
    fd = script.open("openat", AT_FDCWD, bytes(target), WRITING, 0o600)
    script.copy(CONTROL_FD, fd, size)
    script.close(fd)
    script.await_byte(CONTROL_FD)
    say(script, b"on")
    script.await_byte(CONTROL_FD)
    assert outcome(machine, script.pack(), content, b"!") == b"on"
    assert target.read_bytes() == content


def test_a_copy_that_cannot_be_written_is_told(machine: Machine) -> None:
    script = begin()
    fd = script.open("openat", AT_FDCWD, b"/dev/null", READING, 0)
    script.copy(CONTROL_FD, fd, 3)
    assert outcome(machine, script.pack(), b"abc") == failed(7, EBADF)


def test_a_copy_takes_what_comes_in_pieces(machine: Machine) -> None:
    script = begin()
    script.copy(CONTROL_FD, REPORT_FD, 6)
    script.await_byte(CONTROL_FD)
    with machine.run() as running:
        running.send(script.pack())
        for piece in (b"ab", b"c", b"def"):
            running.control.send(piece)
            assert running.report.recv(100) == piece


def test_the_first_of_the_paths_that_can_be_is_executed(machine: Machine, tmp_path: Path) -> None:
    script = begin()
    script.execute_job(CONTROL_FD)
    argv = [b"the name", b"-c", b'printf "%s, %s, %s" "$0" "$1" "$V" >&4', b"arg 0", b"arg 1"]
    paths = [bytes(tmp_path / "missing"), b"/bin/sh", b"/bin/false"]
    with machine.run() as running:
        running.control.sendall(script.pack() + machine_job(argv, [b"V=value"], paths))
        assert running.said() == b"arg 0, arg 1, value"
        assert running.exit_code() == 0


@pytest.mark.parametrize(
    "names, told",
    [
        (["missing"], ENOENT),
        (["missing", "file/below"], ENOTDIR),
        (["file/below", "missing"], ENOENT),
        (["file"], EACCES),
        (["missing", "file"], EACCES),
        (["file", "missing"], EACCES),
        (["file/below", "file", "missing"], EACCES),
        (["broken", "file"], ENOEXEC),
        ([], 0),
    ],
)
def test_why_no_path_was_executed_is_told(
    machine: Machine, names: list[str], told: int, tmp_path: Path
) -> None:
    (tmp_path / "file").touch(0o644)
    (tmp_path / "broken").write_bytes(b"\x7fELF, not")
    (tmp_path / "broken").chmod(0o755)
    script = begin(at_step=28)
    script.execute_job(CONTROL_FD)
    job = machine_job([b"a"], [], [bytes(tmp_path / name) for name in names])
    assert outcome(machine, script.pack(), job) == failed(28, told)


def write_everything() -> tuple[bytes, ...]:
    script, loaded = begin(), late()
    script.load_next(CONTROL_FD, returns=True)
    script.await_byte(CONTROL_FD)
    script.copy(CONTROL_FD, 0, 9)
    script.execute_job(CONTROL_FD)
    loaded.data(b"data")
    loaded.end()
    return script.pack(), loaded.pack(), b"!", b"123456789", machine_job([b"a"], [], [b"/bin/true"])


def test_eof_ends_it_wherever_it_comes(machine: Machine) -> None:
    parts = write_everything()
    ends = [0, *accumulate(map(len, parts))]
    cuts = sorted({cut + more for cut in ends[:-1] for more in (0, 1, 7, 8, 9)} | {ends[-1] - 1})
    for cut in cuts:
        assert outcome(machine, b"".join(parts)[:cut]) == b"", f"after {cut} bytes"
    with machine.run() as running:
        running.control.sendall(b"".join(parts))
        assert (running.said(), running.exit_code()) == (b"", 0), "control: the whole is executed"
