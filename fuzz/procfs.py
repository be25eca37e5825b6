"""What the kernel writes of processes that a job chose the names of: read without being fooled.

The first byte of an input says which reader, the rest is for that one. Where the kernel quotes a
name, so does the target, and the reader must find what is true whatever the name is.
"""

import contextlib
import os
import re

from fuzz.choices import Choices
from fuzz.driver import main
from sandbox.spec.errors import SetupError
from sandbox.supervisor import lookout, probe, sandbox, waits
from sandbox.supervisor.cgroup import parse

__all__ = ["TOKENS", "target"]

_PLANNED = ((b"/", b"ro,nosuid,nodev"), (b"/work", b"nosuid,nodev"), (b"/proc", b"nosuid,noexec"))
_WORDS = (b"r", b"w", b"own", b"else", b"hidden", b"r:1:2", b"w:9:9")
TOKENS = (
    b"State:\tS", b"\nState:\tZ (zombie)\n", b"SigCgt:\t0000000000000000\n", b"Pid:\t1\n",
    b"CapEff:\t0000000000000000\n", b"Seccomp:\t2\n", b"NoNewPrivs:\t1\n", b"Cpus_allowed:\t3\n",
    b"SigBlk:\t", b"voluntary_ctxt_switches:\t1\n", b" - ", b"\\040", b"\\012", b"\\134x41", b"\n",
    b"1 1 0:1 / /sys/fs/cgroup rw - cgroup2 none rw\n", b"0::/a\n", b"1:name=systemd:/\n",
    b"1 2 3 own\n", b"running\n", b"0 0x3 0x0 0x0 0x0 0x0 0x0 0x7f 0x7f", b"/work", b"\xe2\x80\xa8",
)  # fmt: skip


def target(data: bytes) -> None:
    """No reader raises more than it says, and none is told by a name what the kernel did not."""
    choices = Choices(data)
    choices.one_of(
        [_read_anything, _read_named_status, _read_rights, _read_mounts, _read_waits, _read_cgroups]
    )(choices)


def _read_anything(choices: Choices) -> None:
    """Text that is not even the kernel's."""
    content = choices.rest()
    text = os.fsdecode(content)
    for mount in parse.mounts(text):
        assert mount.version in (1, 2)
        shown = mount.shown(mount.root)
        assert shown is not None
    assert all(isinstance(path, str) for path in parse.memberships(text).values())
    assert all(number >= 0 for number in parse.numbers(content[:4096]).values())
    for line in content.splitlines():
        if found := lookout._LINE.fullmatch(line):
            assert int(found[1]) >= 0
    with contextlib.suppress(SetupError):
        probe._mounts(content)
    probe._ONLY_LOOPBACK.fullmatch(content)
    waits._STATUS.search(content)


def _read_named_status(choices: Choices) -> None:
    """A process may call itself anything, of 15 bytes; proc_pid_status(5) quotes newlines."""
    name = choices.data(15).split(b"\0")[0]
    pid, uids = choices.below(1 << 22), [choices.below(1 << 16) for _ in range(8)]
    groups = b" ".join(b"%d" % choices.below(9) for _ in range(choices.below(3)))
    fields = [choices.integer() for _ in range(3)]
    status = b"Name:\t" + _quoted(name, b"\n\\") + b"\nUmask:\t0022\nState:\tS (sleeping)\n"
    status += b"Tgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t1\nTracerPid:\t0\n" % (pid, pid)
    status += b"Uid:\t%d\t%d\t%d\t%d\nGid:\t%d\t%d\t%d\t%d\n" % tuple(uids)
    status += b"FDSize:\t64\nGroups:\t" + groups + b" \nNStgid:\t2\nSigBlk:\t%016x\n" % fields[0]
    status += b"SigIgn:\t%016x\nSigCgt:\t%016x\n" % tuple(fields[1:])
    status += b"Cpus_allowed:\t3\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t5\n"
    *ids, found_groups = probe._ids(status) or ()
    assert [int(number) for number in ids] == uids and found_groups.strip() == groups
    rights = probe._fields(probe._rights(status))
    assert [int(rights[key], 16) for key in ("SigBlk", "SigIgn", "SigCgt")] == fields
    found = sandbox._PID.search(status)
    assert found is not None and int(found[1]) == pid
    state = waits._STATUS.search(status)
    assert state is not None and state[1] == b"S" and int(state[2], 16) == fields[2]
    assert state.groups()[2:] == (b"7", b"5")


def _read_rights(choices: Choices) -> None:
    """A wall is called there only if these lines say so."""
    seccomp, privileges = choices.below(3), choices.below(2)
    sets = [choices.one_of([0, 0, 1 << 21, choices.integer(41)]) for _ in range(5)]
    ignored, blocked = choices.one_of([0, 0, 1]), choices.one_of([0, 0, 1 << 63])
    outer = choices.below(2)  # filters that all of ours are under
    names = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
    lines = f"\nSigBlk:\t{blocked:016x}\nSigIgn:\t{ignored:016x}\nSigCgt:\t0\n"
    lines += "".join(f"{name}:\t{value:016x}\n" for name, value in zip(names, sets, strict=True))
    lines += f"NoNewPrivs:\t{privileges}\nSeccomp:\t{seccomp}\nSeccomp_filters:\t1\n"
    is_confined = seccomp == 2 and privileges == 1 and not outer
    is_stub = is_confined and not any(sets) and not ignored and not blocked
    assert bool(probe._missing_in_stub(lines.encode(), outer)) is not is_stub
    inheritable, permitted, effective, _, ambient = sets
    is_init = is_confined and permitted == effective == 1 << 21 and not inheritable | ambient
    assert bool(probe._missing_in_init(lines.encode(), outer)) is not is_init


def _read_mounts(choices: Choices) -> None:
    """A mount table is as planned only if it is; the points' names may be anything."""
    name = choices.data(40).replace(b"\0", b"").strip(b"/")
    planned = (*_PLANNED, (b"/" + name, b"ro")) if name else _PLANNED
    if len(dict(planned)) < len(planned):
        return
    rows = [(point, options, b"") for point, options in planned]
    change = choices.below(6)
    if change == 1:
        rows.append((b"/" + choices.data(20).replace(b"\0", b""), b"ro,nosuid", b""))
    elif change == 2:
        rows.pop(choices.below(len(rows)))
    elif change == 3:
        at = choices.below(len(rows))
        rows[at] = (rows[at][0], b"rw", b"")
    elif change == 4:
        rows[choices.below(len(rows))] = (b"/work", b"nosuid,nodev", b"shared:1 ")
    elif change == 5:
        rows.append(rows[choices.below(len(rows))])
    table = b"".join(
        b"%d 1 0:%d / " % (at, at) + _quoted(point, b" \t\n\\") + b" " + options + b" " + more
        + b"- tmpfs " + _quoted(name, b" \t\n\\") + b" rw\n"
        for at, (point, options, more) in enumerate(rows)
    )  # fmt: skip
    found = probe._mounts(table)
    assert len(found) == len(rows)
    assert [probe_point for probe_point, _, _ in found] == [
        _quoted(point, b" \t\n\\") for point, _, _ in rows
    ]
    assert probe._is_planned(found, dict(planned), ()) is (not change)


def _read_waits(choices: Choices) -> None:
    """What a blocked call is for: registers of the job's choice, descriptors that may be gone."""
    words = [b"%d" % choices.one_of([0, 1, 7, 271, 202, 61, choices.integer(31)])]
    words += [b"%#x" % choices.integer() for _ in range(choices.below(9))]
    if choices.below(8) == 0:
        words[-1] = choices.data(9)
    try:
        found = waits._waits(b"/proc/self/task/self", words)
    except (OSError, ValueError):
        return  # both are told as OTHER
    line = b"1 1 0 " + b" ".join(found)
    assert lookout._LINE.fullmatch(line), line


def _read_cgroups(choices: Choices) -> None:
    """Cgroups of a job's own making (no newline can be in a name) are not taken for ours."""
    inner = choices.data(30).replace(b"\0", b"").replace(b"\n", b"")
    own = "/user.slice/sandbox/job"
    path = own + "/" + os.fsdecode(inner)
    assert parse.memberships(f"0::{path}\n") == {"": path}
    assert parse.memberships(f"4:memory,cpu:{path}\n1:name=x:/\n0::/\n") == {
        "memory": path, "cpu": path, "name=x": "/", "": "/",
    }  # fmt: skip
    point = "/sys/fs/cgroup" + re.sub(r"\s", "_", os.fsdecode(inner))
    line = "32 31 0:29 / " + os.fsdecode(_quoted(os.fsencode(point), b" \t\n\\"))
    (mount,) = parse.mounts(f"{line} rw,relatime - cgroup2 none rw\n") or (None,)
    assert mount is not None and mount.point == point, (mount, point)
    assert mount.shown(path) == (point + path).rstrip("/")


def _quoted(name: bytes, special: bytes) -> bytes:
    """As seq_escape() in the kernel writes it."""
    return b"".join(b"\\%03o" % byte if byte in special else bytes([byte]) for byte in name)


if __name__ == "__main__":
    main("procfs", target, TOKENS)
