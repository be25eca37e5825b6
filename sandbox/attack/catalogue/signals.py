"""Signals to whoever is not the job's. Signal 0 asks whether another one would be sent."""

import struct
from errno import ESRCH

from sandbox.attack.attack import BARE, attack, by
from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

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


@attack(_KIND, BARE, by("processes", getpgid=ESRCH))
def found_victim(script: AttackScript, targets: Targets) -> None:
    """Asks whether a process of the host exists, by its process group."""
    script.call("getpgid", targets.victim_pid)
