"""What crosses into a zygote and a sandbox: plans survive the way, scripts stay in their memory.

The only sender is the supervisor, whom both obey. So this is about our own mistakes: what it sends
must arrive as it was meant, and what is no plan must end the zygote before it does anything.

An input is decisions: which plan, and of what.
"""

import contextlib
import os
import resource
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fuzz.choices import Choices
from fuzz.driver import main
from fuzz.fds import all_closed
from fuzz.kept_script import check_memory, kept_scripts
from sandbox.boundary import plan as plans
from sandbox.boundary.plan import Bind, BindsPlan, CollectPlan, Disk, SpawnPlan, TemplatePlan
from sandbox.boundary.report import Kind, Report
from sandbox.inside import init, late
from sandbox.inside.machine import machine_job
from sandbox.inside.plan import SandboxPlan
from sandbox.inside.script import LATE_AT, MOST_LATE_BYTES
from sandbox.zygote import main as zygote

__all__ = ["TOKENS", "target"]

_MOST_DECODED_BYTES = 256 << 20
# What marshal.loads tells of bytes that are none of its own, and a record of too few values. The
# zygote ends with it, having done nothing.
_NO_PLAN = (EOFError, ValueError, TypeError, KeyError, MemoryError)
TOKENS = (
    plans.encode(SpawnPlan(0, 0, 0, None)), plans.encode(BindsPlan(())), b"s", b"b", b"c", b"/a",
    b"(\x04\x00\x00\x00", b"\xa9\x04", b"N", b"\xe9\x01\x00\x00\x00", b"l\xff\xff\xff\x7f",
)  # fmt: skip


def target(data: bytes) -> None:
    """See each part."""
    choices = Choices(data)
    choices.one_of([_send_plan, _send_anything, _write_sandbox, _write_late, _write_job])(choices)


def _send_plan(choices: Choices) -> None:
    """What was encoded is decoded as it was."""
    kind, fields = choices.one_of(
        [
            (SpawnPlan, (choices.integer(), choices.integer(32), choices.integer(32), None)),
            (SpawnPlan, (choices.integer(), choices.integer(32), 1000, choices.data())),
            (BindsPlan, (_binds(choices),)),
            (CollectPlan, (1000, choices.flag(), 40, _names(choices), choices.integer(), b"")),
            (TemplatePlan, tuple(_template(choices))),
        ]
    )
    plan = kind(*fields)
    decoded = plans.decode(kind, plans.encode(plan))
    assert type(decoded) is kind and decoded == plan
    assert plans.encode(decoded) == plans.encode(plan)


def _send_anything(choices: Choices) -> None:
    """Whatever comes, a zygote answers each message once, or ends; nothing stays open."""
    channel, spawner = _Channel(), _Spawner()
    while not choices.is_over:
        body = choices.data()
        if choices.flag():
            kind = choices.below(2)
            body = plans.encode(SpawnPlan(choices.integer(), 1, 2, None) if kind else BindsPlan(()))
            body = body[: len(body) - choices.below(2)]
        channel.messages.append(choices.one_of([b"s", b"b", b"c", b""]) + body)
    sent = len(channel.messages)
    names = ("_map_id", "shift_clocks", "_collect", "FIRST_FD")
    kept = {name: getattr(zygote, name) for name in names}
    lowest_fd = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest_fd)
    try:
        zygote._map_id = lambda *_: None  # type: ignore[assignment]
        zygote.shift_clocks = lambda plan: (
            None if plan.time_offsets is None else bytes(plan.time_offsets)
        )  # type: ignore[assignment]
        zygote._collect = _collect  # type: ignore[assignment]
        zygote.FIRST_FD = lowest_fd
        with all_closed(), _bounded_memory():
            zygote._serve(channel, _Host(), spawner)  # type: ignore[arg-type]
    except _NO_PLAN:
        assert len(channel.answers) < sent
    else:
        assert len(channel.answers) == sent and not channel.messages
    finally:
        for name, value in kept.items():
            setattr(zygote, name, value)
    ready = sum(Report.unpack(answer).kind == Kind.READY for answer in channel.answers)
    assert spawner.count <= ready <= sent


@contextlib.contextmanager
def _bounded_memory() -> Iterator[None]:
    """A few bytes of marshal may announce more items than there is memory: then it has none."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    most_bytes = pages * resource.getpagesize() + _MOST_DECODED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class _Channel:
    """A channel whose other end has said all that it will."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.answers: list[bytes] = []

    def receive(self) -> tuple[bytes, list[int]]:
        if not self.messages:
            raise _Over
        return self.messages.pop(0), []

    def send(self, data: bytes, fds: tuple[int, ...] = ()) -> None:
        assert all(os.fstat(fd) for fd in fds)
        self.answers.append(data)


class _Over(EOFError):
    """The end of the channel, as `_serve` knows it."""


class _Spawner:
    def __init__(self) -> None:
        self.count = 0

    def spawn(self, flags: int) -> tuple[int, int]:
        struct.pack("<Q", flags | 0x1000)  # as ctypes, it takes numbers of 64 bits
        self.count += 1
        return 1, os.open("/dev/null", os.O_RDONLY)


class _Host:
    def open_binds(self, binds: Any) -> list[int]:
        trees = []
        try:
            for bind in binds:
                os.fspath(bind.source)
                trees.append(os.open("/dev/null", os.O_RDONLY))
        except BaseException:
            for fd in trees:
                os.close(fd)
            raise
        return trees


def _collect(channel: _Channel, plan: CollectPlan, _fds: list[int]) -> None:
    assert len(plan) == 6
    channel.send(Report(Kind.READY).pack())


def _write_sandbox(choices: Choices) -> None:
    """The script of init and stub, from any plan."""
    with kept_scripts() as written:
        try:
            packed, name_at = init.write_script(_sandbox(choices))
        except ValueError as error:
            assert "there is room for" in str(error)
            return
    (script,) = written
    check_memory(script, packed)
    assert packed[name_at : name_at + 16] == bytes(15) + b"\n"


def _write_late(choices: Choices) -> None:
    """Scripts that come late: any binds, any input."""
    with kept_scripts() as written:
        try:
            if choices.flag():
                disk = Disk(choices.integer(40), choices.integer(40)) if choices.flag() else None
                binds = _binds(choices) * (20 if choices.below(16) == 15 else 1)
                packed = late.write_bind_script(binds[:200], disk)
            else:
                size = choices.integer(40) if choices.flag() else None
                packed = late.write_input_script(_path(choices), choices.below(1 << 12), size)
        except ValueError as error:
            assert "there is room for" in str(error)
            return
    (script,) = written
    check_memory(script, packed)


def _write_job(choices: Choices) -> None:
    """Arguments, environment and paths for execve(2)."""
    arrays = [_names(choices), _names(choices), _names(choices)]
    try:
        packed = machine_job(*arrays)
    except ValueError:
        assert any(b"\0" in text for array in arrays for text in array)
        return
    assert struct.unpack_from("<Q", packed)[0] == len(packed) - 8 <= MOST_LATE_BYTES
    for place, array in enumerate(arrays):
        at = struct.unpack_from("<Q", packed, 8 + 8 * place)[0] - LATE_AT
        for text in array:
            (start,) = struct.unpack_from("<Q", packed, at)
            assert packed.startswith(text + b"\0", start - LATE_AT)
            at += 8
        assert struct.unpack_from("<Q", packed, at) == (0,)


def _sandbox(choices: Choices) -> SandboxPlan:
    return SandboxPlan(
        inside_id=choices.integer(32), drops_groups=choices.flag(), has_keyrings=choices.flag(),
        cgroup_fds=1 + choices.below(9), born_in_cgroup=choices.flag(),
        hostname=choices.data(64), scratch=_name(choices), uppers=_names(choices),
        disk=Disk(choices.integer(), choices.integer()), proc_options=choices.data(20),
        proc_masks=tuple((name, choices.flag()) for name in _names(choices)),
        cgroup_mounts=tuple((b"cgroup", name, b"sys/" + name) for name in _names(choices)),
        init_filter=choices.data(), filter=choices.data(64) * choices.one_of([1, 8, 512]),
        notifies=choices.flag(), last_capability=choices.below(64), cwd=_path(choices),
        terminal=choices.flag(), has_inputs=choices.flag(),
        landlock=(choices.integer(), choices.integer(), choices.integer())
        if choices.flag() else None,
        landlock_paths=tuple((name, choices.integer()) for name in _names(choices)),
        shares=tuple((name, choices.below(1 << 20)) for name in _names(choices)),
    )  # fmt: skip


def _template(choices: Choices) -> Iterator[Any]:
    yield choices.one_of([None, b"/lower"])
    yield from (_names(choices), _names(choices))
    yield tuple((name, choices.data(9)) for name in _names(choices))
    yield tuple((name, choices.below(1 << 12), choices.data()) for name in _names(choices))
    yield from (_names(choices), choices.flag(), choices.data(), choices.integer(16))


def _binds(choices: Choices) -> tuple[Bind, ...]:
    return tuple(
        Bind(
            _path(choices), choices.integer(32), choices.integer(), _path(choices).lstrip(b"/"),
            choices.flag(), choices.flag(),
        )
        for _ in range(choices.below(4))
    )  # fmt: skip


def _path(choices: Choices) -> bytes:
    parts = [_name(choices) for _ in range(1 + choices.below(4))]
    parts *= 128 // len(parts) if choices.below(32) == 31 else 1  # as deep as a job may have it
    return b"/" + b"/".join(parts)[:4094]


def _name(choices: Choices) -> bytes:
    return choices.data(16).replace(b"/", b"") or b"a"


def _names(choices: Choices) -> tuple[bytes, ...]:
    return tuple(_name(choices) for _ in range(choices.below(4)))


if __name__ == "__main__":
    main("plan", target, TOKENS)
