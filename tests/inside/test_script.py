"""Scripts: every pointer leads to its bytes, every fd is the number that the kernel will give."""

import itertools
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyseccomp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside.assembled import AUDIT_ARCH
from supervisor.bpf import Call, run

from sandbox.boundary.plan import Bind, Disk
from sandbox.boundary.report import REPORT_FD
from sandbox.inside import init, late
from sandbox.inside import script as script_module
from sandbox.inside.init import CONTROL_FD
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import ANY, LATE_AT, SCRIPT_AT, Script
from sandbox.kernel.numbers import BY_MACHINE, NUMBERS
from sandbox.supervisor.seccomp import ARCH, init_filter

pytestmark = pytest.mark.usefixtures("nothing_kept")

ALLOW = 0x7FFF0000
FIRST_OF_THE_MACHINE = 0x80000000  # what is no system call
LOAD_NEXT, RETURN, COPY, EXECUTE_JOB, SERVE = range(0x80000003, 0x80000008)
LAST_FD = 0xFFFFFFFF
CONTENTS = st.binary(max_size=40)
AT = st.sampled_from([SCRIPT_AT, LATE_AT])


class Entry(NamedTuple):
    """One call of a packed script."""

    number: int
    step: int
    report_fd: int
    tolerated: int
    arguments: tuple[int, ...]
    result: int


def entries(packed: bytes, count: int) -> list[Entry]:
    found = struct.iter_unpack("<IBBH6Qq", packed[8 : 8 + 64 * count])
    return [Entry(a, b, c, d, tuple(six), result) for a, b, c, d, *six, result in found]


@given(at=AT, parts=st.lists(st.tuples(st.sampled_from(["data", "memory", "space"]), CONTENTS)))
def test_a_pointer_leads_to_its_bytes(at: int, parts: list[tuple[str, bytes]]) -> None:
    script = Script(CONTROL_FD, (), at=at)
    for kind, content in parts:
        pointer = script.space(len(content)) if kind == "space" else getattr(script, kind)(content)
        script.call("read", pointer, pointer + 3, content)
    packed = script.pack()
    taken: set[int] = set()
    for (kind, content), entry in zip(parts, entries(packed, len(parts)), strict=True):
        start, third, string, *_ = entry.arguments
        assert third == start + 3
        assert packed[string - at :].startswith(content + b"\0")
        if kind == "space":
            assert start - at >= len(packed), "behind all that is loaded"
            content = bytes(len(content))
        else:
            assert packed[start - at :].startswith(content)
        assert start % 8 == 0
        if kind != "data":
            own = range(start, start + len(content))
            assert taken.isdisjoint(own)
            taken.update(own)


@given(content=st.binary(min_size=1), other=st.binary(min_size=1))
def test_equal_data_is_shared_and_memory_is_not(content: bytes, other: bytes) -> None:
    script = Script(CONTROL_FD, ())
    places = [script.data(content), script.data(content), script.data(other)]
    places += [script.memory(content), script.memory(content)]
    script.call("read", *places)
    first, again, different, own, another, _ = entries(script.pack(), 1)[0].arguments
    assert first == again
    assert (first == different) == (content == other)
    assert len({first, own, another}) == 3


@pytest.mark.parametrize(("at", "room"), [(SCRIPT_AT, LATE_AT - SCRIPT_AT), (LATE_AT, 32 << 20)])
def test_a_script_stays_in_its_memory(at: int, room: int) -> None:
    """Of a late one the machine would be told by a fault, when the sandbox stands already."""
    script = Script(CONTROL_FD, (), at=at)
    script.space(room - 8)
    assert len(script.pack()) == 8
    script.space(1)
    with pytest.raises(ValueError, match=f"there is room for {room}"):
        script.pack()


@given(at=AT, before=CONTENTS, content=CONTENTS, behind=CONTENTS)
def test_a_pointer_in_memory_leads_to_its_bytes(
    at: int, before: bytes, content: bytes, behind: bytes
) -> None:
    script = Script(CONTROL_FD, (), at=at)
    script.data(before)
    block = script.memory(bytes(16))
    script.point(block + 8, script.data(content))
    script.call("read", 0)
    script.data(behind)
    packed = script.pack()
    zero, pointer = struct.unpack_from("<2Q", packed, script.offset(block))
    assert zero == 0
    assert packed[pointer - at :].startswith(content)


@given(at=AT, before=st.integers(1, 5), between=st.integers(1, 5))
def test_a_label_is_the_entry_that_comes_where_it_is_placed(
    at: int, before: int, between: int
) -> None:
    script = Script(CONTROL_FD, range(5), at=at)
    label, fds = script.label(), script.open_fds()
    for _ in range(before):
        script.fork(script.space(64), 64, label, 2)
    script.close(0, 1)
    script.load_next(3, returns=True)
    for _ in range(between):
        script.end()
    script.place(label, fds)
    assert script.lowest_fd() == 5, "those of the moment of the fork"
    script.call("close", 77)
    count = before + 2 + 1 + between + 1
    found = entries(script.pack(), count)
    target = 8 + 64 * (count - 1)
    assert {entry.arguments[2] for entry in found[:before]} == {at + target}
    assert found[-1].arguments[0] == 77
    assert found[before + 2].arguments[:3] == (3, LATE_AT, at + 8 + 64 * (before + 3))


FDS = st.sets(st.integers(0, 20))
FD_STEPS = st.tuples(st.sampled_from(["open", "close", "take", "keep"]), FDS)


@given(start=FDS, steps=st.lists(FD_STEPS, max_size=30))
def test_an_fd_is_the_lowest_that_is_free(
    start: set[int], steps: list[tuple[str, set[int]]]
) -> None:
    """Against a table of fds that does as the kernel's."""
    script, kernel = Script(CONTROL_FD, start), set(start)

    def lowest() -> int:
        return next(fd for fd in itertools.count() if fd not in kernel)

    for step, fds in steps:
        if step == "open":
            expected = lowest()
            kernel.add(expected)
            assert script.open("openat", 0) == expected
            assert written(script)[-1].result == expected
        elif step == "close":
            script.close(*fds)
            kernel -= fds
            assert {entry.arguments[0] for entry in written(script)[-len(fds) :]} >= fds
        elif step == "take":
            for fd in script.take_fds(len(fds)):
                assert fd == lowest()
                kernel.add(fd)
        else:
            kernel &= fds
            script.close_all_but(*kernel)
        assert script.open_fds() == kernel
        assert script.lowest_fd() == lowest()


def written(script: Script) -> list[Entry]:
    return entries(script.pack(), len(script._entries))


@given(st.sets(st.integers(0, 40) | st.integers(LAST_FD - 2, LAST_FD)))
def test_all_but_these_are_closed(kept: set[int]) -> None:
    script = Script(CONTROL_FD, range(5))
    script.close_all_but(*kept)
    found = written(script)
    assert all(entry.number == NUMBERS["close_range"] for entry in found)
    ranges = [range(entry.arguments[0], entry.arguments[1] + 1) for entry in found]
    assert all(ranges), "an empty range is EINVAL"
    for fd in (*range(45), *range(LAST_FD - 4, LAST_FD + 1)):
        assert any(fd in part for part in ranges) == (fd not in kept)
    assert all(part.stop <= LAST_FD + 1 for part in ranges)


@given(
    at=AT,
    calls=st.lists(
        st.tuples(
            st.sampled_from(sorted(NUMBERS)),
            st.lists(st.integers(-(1 << 63), (1 << 64) - 1) | CONTENTS, max_size=6),
            st.integers(-4095, 1 << 40) | st.just(ANY),
            st.integers(0, 4095),
            st.integers(0, 255),
        ),
        max_size=10,
    ),
)
def test_a_call_is_packed_as_it_was_written_behind_the_length_of_all(
    at: int, calls: list[tuple[str, list[int | bytes], int, int, int]]
) -> None:
    script = Script(CONTROL_FD, (), at=at)
    for name, arguments, result, tolerated, step in calls:
        script.step = script.report_fd = step
        script.call(name, *arguments, result=result, tolerated=tolerated)
    packed = script.pack()
    assert struct.unpack_from("<Q", packed)[0] == len(packed) - 8
    for (name, arguments, *rest), entry in zip(calls, entries(packed, len(calls)), strict=True):
        assert entry.number == NUMBERS[name]
        assert [entry.result, entry.tolerated, entry.step, entry.report_fd] == [*rest, rest[-1]]
        for argument, value in zip(arguments, entry.arguments, strict=False):
            if isinstance(argument, bytes):
                assert packed[value - at :].startswith(argument + b"\0")
            else:
                assert value == argument % (1 << 64)
        assert not any(entry.arguments[len(arguments) :])


@pytest.mark.parametrize("name", BY_MACHINE)
def test_the_numbers_are_those_that_libseccomp_knows(name: str) -> None:
    known = {call: pyseccomp.resolve_syscall(AUDIT_ARCH[name], call) for call in BY_MACHINE[name]}
    assert BY_MACHINE[name] == known


PLAN = SandboxPlan(
    inside_id=1000, drops_groups=True, has_keyrings=True, cgroup_fds=1, born_in_cgroup=True,
    shares=((b"max_user_namespaces", 0),), hostname=b"sandbox",
    scratch=b"work", uppers=(b"",), disk=Disk(1000, 1000), proc_options=b"subset=pid",
    proc_masks=((b"keys", False), (b"sys", True)),
    cgroup_mounts=((b"cgroup2", b"", b"sys/fs/cgroup"),), init_filter=b"", filter=bytes(8),
    notifies=True, last_capability=40, cwd=b"/work/a/b", terminal=True, has_inputs=True,
    landlock=(0x1FFF, 3, 3), landlock_paths=((b"/work", 0x1FFF), (b"/tmp", 0x1FFF)),
)  # fmt: skip
BINDS = (
    Bind(b"/usr/lib", 0x801, 12345, b"data/usr", True, True),
    Bind(b"/etc/hosts", 0x801, 54321, b"tmp/hosts", False, True),
    Bind(b"/etc/hosts", 0x801, 54321, b"hosts", False, False),
)


class Kept(Script):
    """A script that can be asked for its calls."""

    last: Script

    def pack(self) -> bytes:
        Kept.last = self
        return super().pack()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], list[Entry]]:
    """The calls of the script that was just written."""
    for module in (init, late):
        monkeypatch.setattr(module, "Script", Kept)
    return lambda packed: entries(packed, len(Kept.last._entries))


Calls = Callable[[bytes], list[Entry]]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_sandbox_makes_no_call_that_its_own_filters_forbid(calls: Calls, terminal: bool) -> None:
    packed, name_at = init.write_script(PLAN._replace(terminal=terminal))
    assert len(packed) + Kept.last._space < LATE_AT - SCRIPT_AT
    assert packed[name_at : name_at + 16] == bytes(15) + b"\n"
    found = calls(packed)
    loads = [at for at, entry in enumerate(found) if entry.number == NUMBERS["seccomp"]]
    of_init, of_stub = loads
    serve = next(at for at, entry in enumerate(found) if entry.number == SERVE)
    assert of_init < serve < of_stub
    assert forbidden(found[of_init + 1 : serve]) == []
    *told, job = found[of_stub + 1 :]
    assert {entry.number for entry in told} <= {NUMBERS[name] for name in ("read", "write")}
    assert job.number == EXECUTE_JOB


def test_a_late_script_makes_no_call_that_inits_filter_forbids(calls: Calls) -> None:
    found = calls(late.write_bind_script(BINDS, Disk(5, 5)))
    assert len(found) > 30
    assert forbidden(found) == []


def forbidden(found: list[Entry]) -> list[Entry]:
    program = init_filter()
    return [
        entry
        for entry in found
        if entry.number < FIRST_OF_THE_MACHINE
        and run(program, Call(ARCH, entry.number, entry.arguments)) != ALLOW
    ]


def test_what_pid_1_calls_as_it_serves_is_what_its_filter_allows() -> None:
    listing = (Path(script_module.__file__).parent / f"machine_{os.uname().machine}.S").read_text()
    named = set(re.findall(r"(?:#|//) (\w+)$", listing.split("\nserve:")[1], re.M))
    served = [name for name in named if pyseccomp.resolve_syscall(ARCH, name) >= 0]
    assert len(served) == 9
    for name in served:
        number = pyseccomp.resolve_syscall(ARCH, name)
        assert run(init_filter(), Call(ARCH, number)) == ALLOW, name


@pytest.mark.parametrize("size", [None, 0, 5])
def test_an_input_is_a_script_and_its_bytes(size: int | None, calls: Calls) -> None:
    found = calls(late.write_input_script(b"/tmp/a/b", 0o644, size))
    copied = [entry.arguments[:3] for entry in found if entry.number == COPY]
    assert copied == ([] if size is None else [(REPORT_FD, REPORT_FD + 1, size)])
    assert found[-1].number == LOAD_NEXT
    *entering, last = calls(late.write_last_input_script(b"/work/a/b"))
    assert last.number == RETURN
    assert entering[0].number == pyseccomp.resolve_syscall(ARCH, "chdir")


def test_a_script_that_would_reach_into_what_comes_late_is_refused() -> None:
    script = Script(3, ())
    script.space(LATE_AT - SCRIPT_AT - 8)
    script.pack()
    script.space(1)
    with pytest.raises(ValueError, match="there is room for"):
        script.pack()
