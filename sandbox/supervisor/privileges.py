"""Started as root: choose an id that owns nothing, become it, and see that no way leads back."""

import os
import pwd
from collections.abc import Callable
from pathlib import Path

from sandbox.kernel.processes import (
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    capset,
    prctl,
)
from sandbox.spec.errors import HostError, SetupError
from sandbox.supervisor.identity import BaseMap, BaseRanges
from sandbox.supervisor.subids import Range, read_subids

__all__ = ["ROOT_RANGE", "check_rights", "choose_root_map", "drop_for_good"]

# The start of 1879048192…2147352575, which systemd's table of ids (UIDS-GIDS, "Summary") leaves to
# nobody: above its container ranges, below 2^31.
ROOT_RANGE = Range(0x70000000, 65536)

_LAST_CAPABILITY = 63
# Of root, to become another id and to map what is the other's; <linux/capability.h>.
_NEEDED = {"CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SYS_ADMIN": 21}
_CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb")


def choose_root_map(etc: Path = Path("/etc"), proc: Path = Path("/proc/self")) -> BaseMap:
    """The maps for a runner that starts as root: it becomes the first id of a range of its own.

    That is root's range in /etc/subuid and /etc/subgid where both name the same ids, else
    ROOT_RANGE. Raises HostError: the id has an account, the range is another user's, or we are
    root of a container only, which has no such ids.
    """
    file, groups = read_subids(etc / "subuid"), read_subids(etc / "subgid")
    granted, problems = file.usable(0, 0)
    group_ranges, _ = groups.usable(0, 0)
    range_ = next((r for r in granted if r in group_ranges and r.count > 1), None)
    if range_ is None:
        range_ = ROOT_RANGE
        problems += [
            f"{f.path}: {owner}:{r.start}:{r.count} is in it"
            for f in (file, groups)
            for owner, r in f.entries
            if r.overlaps(ROOT_RANGE)
        ]
        if problems:
            raise HostError(
                f"the ids {ROOT_RANGE.start}+{ROOT_RANGE.count} are not free: {'; '.join(problems)}"
                "; fix: give root a range of its own, the same in /etc/subuid and /etc/subgid"
            )
    if _has_account(range_.start):
        raise HostError(f"uid {range_.start}, for the runner, has an account; fix: remove it")
    for name in ("uid_map", "gid_map"):
        if not _is_mapped(range_, (proc / name).read_text()):
            raise HostError(
                f"root of this user namespace has no ids {range_.start}+{range_.count} ({name}); "
                "fix: give root some that it has, the same in /etc/subuid and /etc/subgid, or "
                "be another user in it, whose jobs can do with its own id"
            )
    rest = Range(range_.start + 1, range_.count - 1)
    return BaseMap(range_.start, range_.start, BaseRanges(rest, rest))


def check_rights() -> None:
    """Whether this root has what its runner needs. Raises HostError: a container took it away."""
    status = Path("/proc/self/status").read_text()
    held = int(status.partition("\nCapEff:")[2].split()[0], 16)
    if lacking := [name for name, bit in _NEEDED.items() if not held >> bit & 1]:
        raise HostError(
            f"root lacks {' and '.join(lacking)} here, and cannot hand over to an id that owns "
            "nothing; fix: be an ordinary user, as docs/operations.md has it for containers"
        )


def drop_for_good(uid: int, gid: int) -> None:
    """Turn this root process into `uid`, with no group, no capability and no way back.

    Verified from the kernel's own record and by trying. Raises SetupError: rights are left, or the
    process has several threads (capabilities are each thread's own, capabilities(7)); the caller
    must then end.
    """
    if len([*Path("/proc/self/task").iterdir()]) != 1:
        raise SetupError("root cannot be dropped in a process with several threads")
    try:
        _drop_bounding_set()
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
        capset(0, 0, 0)
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        # A change of uid makes our files in /proc root's (PR_SET_DUMPABLE(2const)), and the maps
        # of our own children could not be written. Only our own processes have this uid.
        prctl(PR_SET_DUMPABLE, 1)
    except OSError as error:
        raise SetupError(f"root could not be dropped: {error}") from error
    if left := _rights_left(uid, gid):
        raise SetupError(f"root was dropped and rights are left: {', '.join(left)}")


def _drop_bounding_set() -> None:
    for capability in range(_LAST_CAPABILITY + 1):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            # EINVAL: past the last capability of this kernel. EPERM: a container without
            # CAP_SETPCAP; no_new_privs closes what the bounding set would.
            return


def _rights_left(uid: int, gid: int) -> list[str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    # Real, effective, saved and filesystem id (proc_pid_status(5)).
    left = [
        name
        for name, wanted in (
            ("Uid", [str(uid)] * 4),
            ("Gid", [str(gid)] * 4),
            ("Groups", []),
            ("NoNewPrivs", ["1"]),
        )
        if status[name] != wanted
    ]
    left += [name for name in _CAPABILITY_SETS if int(status[name][0], 16)]
    ways_back: tuple[tuple[str, Callable[[], None]], ...] = (
        ("setuid(0)", lambda: os.setuid(0)),
        ("setgid(0)", lambda: os.setgid(0)),
        ("setgroups", lambda: os.setgroups([0])),
    )
    return left + [name for name, attempt in ways_back if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], None]) -> bool:
    try:
        attempt()
    except PermissionError:
        return False
    return True


def _is_mapped(range_: Range, id_map: str) -> bool:
    # Lines of: first id inside, first id outside, count (user_namespaces(7)).
    lines = [line.split() for line in id_map.splitlines()]
    mapped = [Range(int(inside), int(count)) for inside, _, count in lines]
    return any(m.start <= range_.start and range_.end <= m.end for m in mapped)


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True
