"""Namespaces: making new ones, in which a process has every capability, and entering others."""

import functools
import os
import struct
from errno import EACCES, EINVAL, ENOSPC, EPERM

from sandbox.attack.attack import BARE, USERNS, Attack, add, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

_KIND = "namespaces"
# Its own user namespace lets it have none below: namespaces(7).
_NO_SHARE = by("identity", unshare=ENOSPC, clone=ENOSPC, clone3=ENOSPC)
_NEWUSER, _SIGCHLD = 0x10000000, 17
_FLAGS = {
    "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
    "pid": 0x20000000, "network": 0x40000000, "time": 0x80,
}  # fmt: skip
_FILES = {
    "mount": b"mnt", "cgroup": b"cgroup", "uts": b"uts", "ipc": b"ipc", "pid": b"pid",
    "network": b"net", "user": b"user", "time": b"time",
}  # fmt: skip


@attack(_KIND, BARE, _NO_SHARE)
def unshared_user(script: AttackScript, targets: Targets) -> None:
    """Makes a user namespace, the way to most kernel bugs of the last ten years."""
    script.call("unshare", _NEWUSER)


@attack(_KIND, BARE, _NO_SHARE)
def cloned_user(script: AttackScript, targets: Targets) -> None:
    """The same by clone(2)."""
    script.call("clone", _NEWUSER | _SIGCHLD, 0, 0, 0, 0)


@attack(_KIND, BARE, _NO_SHARE)
def cloned_user_thread_bits(script: AttackScript, targets: Targets) -> None:
    """The same, with high bits set which the kernel does not read and a filter may."""
    script.call("clone", 1 << 32 | _NEWUSER | _SIGCHLD, 0, 0, 0, 0)


@attack(_KIND, BARE, _NO_SHARE)
def clone3_user(script: AttackScript, targets: Targets) -> None:
    """The same by clone3(2), whose flags no filter can see."""
    arguments = script.memory(struct.pack("<8Q", _NEWUSER, 0, 0, 0, _SIGCHLD, 0, 0, 0))
    script.call("clone3", arguments, 64)


def _unshare(flag: int, script: AttackScript, targets: Targets) -> None:
    script.call("unshare", flag)


def _clone(flag: int, script: AttackScript, targets: Targets) -> None:
    script.call("clone", flag | _SIGCHLD, 0, 0, 0, 0)


def _enter(file: bytes, script: AttackScript, targets: Targets) -> None:
    fd = script.open_path(b"/proc/1/ns/" + file, os.O_RDONLY)
    if file not in (b"user", b"time"):  # one's own user namespace: EINVAL; the time's: see below
        script.call("setns", fd, 0)


def _enter_own(file: bytes, script: AttackScript, targets: Targets) -> None:
    script.call("setns", script.open_path(b"/proc/self/ns/" + file, os.O_RDONLY), 0)


for _name, _flag in _FLAGS.items():
    add(
        Attack(
            f"unshared_{_name}", _KIND, f"Makes a {_name} namespace.", USERNS,
            functools.partial(_unshare, _flag), by("identity", unshare=EPERM),
        )
    )  # fmt: skip
    if _name != "time":  # unshare(2) and clone3(2) only
        add(
            Attack(
                f"cloned_{_name}", _KIND, f"Makes a {_name} namespace by clone(2).", USERNS,
                functools.partial(_clone, _flag), by("identity", clone=EPERM),
            )
        )  # fmt: skip
for _name, _file in _FILES.items():
    add(
        Attack(
            f"entered_{_name}_of_init", _KIND, f"Enters the {_name} namespace of process 1.",
            USERNS, functools.partial(_enter, _file), by("processes", openat=EACCES),
        )
    )  # fmt: skip
for _name in ("mount", "uts", "ipc", "network", "cgroup"):
    add(
        Attack(
            f"entered_own_{_name}", _KIND, f"Enters its own {_name} namespace once more.",
            USERNS, functools.partial(_enter_own, _FILES[_name]), by("identity", setns=EPERM),
        )
    )  # fmt: skip


@attack(_KIND, USERNS, by("identity", setns=EPERM))
def entered_by_pidfd(script: AttackScript, targets: Targets) -> None:
    """Enters all namespaces of process 1 at once, by a pidfd."""
    fd = script.open("pidfd_open", 1, 0)
    script.call("setns", fd, _FLAGS["mount"] | _FLAGS["network"] | _FLAGS["uts"])


@attack(_KIND, USERNS, by("identity", unshare=EPERM))
def changed_time(script: AttackScript, targets: Targets) -> None:
    """Sets the boot time of a namespace of its own."""
    script.call("unshare", _FLAGS["time"])
    fd = script.open_path(b"/proc/self/timens_offsets", os.O_WRONLY)
    text = b"monotonic 1000 0\n"
    script.call("write", fd, script.data(text), len(text), result=len(text))


@attack(_KIND, USERNS, by("identity", sethostname=EPERM))
def changed_host_name(script: AttackScript, targets: Targets) -> None:
    """Changes the host name."""
    script.call("sethostname", b"attacked", 8)


@attack(_KIND, USERNS, by("identity", setdomainname=EPERM))
def changed_domain_name(script: AttackScript, targets: Targets) -> None:
    """Changes the domain name."""
    script.call("setdomainname", b"attacked", 8)


@attack(_KIND, USERNS, by("identity", setresuid=EINVAL))
def became_root(script: AttackScript, targets: Targets) -> None:
    """Becomes uid 0 of its namespace."""
    script.call("setresuid", 0, 0, 0)


@attack(_KIND, USERNS, by("identity", setresgid=EINVAL))
def became_root_group(script: AttackScript, targets: Targets) -> None:
    """Becomes gid 0 of its namespace."""
    script.call("setresgid", 0, 0, 0)
