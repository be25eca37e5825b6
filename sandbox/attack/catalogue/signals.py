"""Signals to whoever is not the job's. Signal 0 asks whether another one would be sent."""

import functools
import struct
from errno import EPERM, ESRCH
from signal import SIGCHLD

from sandbox.attack.attack import BARE, USERNS, Attack, add, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets
from sandbox.supervisor.landlock import handled_accesses

_KIND = "signals"
_SIGURG = 23  # ignored unless caught
_SI_QUEUE = -1


@attack(_KIND, BARE, by("processes", kill=ESRCH))
def killed_victim(script: AttackScript, targets: Targets) -> None:
    """Signals a process of the host."""
    script.call("kill", targets.victim_pid, _SIGURG)


@attack(_KIND, BARE, by("processes", tgkill=ESRCH))
def thread_killed_victim(script: AttackScript, targets: Targets) -> None:
    """Signals a thread of the host."""
    script.call("tgkill", targets.victim_pid, targets.victim_pid, _SIGURG)


@attack(_KIND, BARE, by("processes", kill=ESRCH))
def killed_everybody(script: AttackScript, targets: Targets) -> None:
    """Signals every process that it may; in its sandbox there are itself and init only."""
    script.call("kill", -1, 0)


@attack(_KIND, BARE, by("processes", rt_sigqueueinfo=ESRCH))
def queued_for_victim(script: AttackScript, targets: Targets) -> None:
    """Queues a signal with a value of its own for a process of the host."""
    information = script.memory(struct.pack("<3i116x", _SIGURG, 0, _SI_QUEUE))
    script.call("rt_sigqueueinfo", targets.victim_pid, _SIGURG, information)


@attack(_KIND, BARE, by("processes", pidfd_open=ESRCH))
def killed_victim_by_pidfd(script: AttackScript, targets: Targets) -> None:
    """Signals a process of the host through a pidfd."""
    fd = script.open("pidfd_open", targets.victim_pid, 0)
    script.call("pidfd_send_signal", fd, _SIGURG, 0, 0)


_ACCESSES = handled_accesses()
_IS_SCOPED = _ACCESSES is not None and bool(_ACCESSES[2])  # Landlock bounds signals, Linux 6.12
# An init that takes no signals is still woken by one that it waits for in another way.
_WAYS = {
    "kill": (1, SIGCHLD), "tkill": (1, SIGCHLD), "tgkill": (1, 1, SIGCHLD),
}  # fmt: skip


def _wake(call: str, arguments: tuple[int, ...], script: AttackScript, targets: Targets) -> None:
    script.call(call, *arguments)


for _call, _arguments in _WAYS.items():
    add(
        Attack(
            f"woke_init_by_{_call}", _KIND, f"Wakes process 1 by {_call}(2), on its CPU time.",
            USERNS, functools.partial(_wake, _call, _arguments),
            by("landlock", **{_call: EPERM}) if _IS_SCOPED else (),
        )
    )  # fmt: skip


@attack(_KIND, BARE, by("processes", getpgid=ESRCH))
def found_victim(script: AttackScript, targets: Targets) -> None:
    """Asks whether a process of the host exists, by its process group."""
    script.call("getpgid", targets.victim_pid)
