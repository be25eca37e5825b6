"""An attack: what it does, how it is shown to work, and what must hold it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sandbox.attack.script import AttackScript
from sandbox.attack.targets import Targets

__all__ = ["BARE", "USERNS", "Attack", "Refusal", "add", "attack", "by", "registered"]

# How an attack is shown to work on this host: by the same user without any sandbox, or as root of
# new user, mount, pid, network, ipc, uts and cgroup namespaces, for what takes capabilities.
BARE, USERNS = "bare", "userns"

_Write = Callable[[AttackScript, Targets], None]


class Refusal(NamedTuple):
    """One way in which a wall other than the filter holds an attack."""

    call: str
    errno: int  # 0: the call succeeds and yields something else than the attacker is after
    wall: str

    def __str__(self) -> str:
        return f"{self.call} {errno.errorcode.get(self.errno, 'yields nothing')} ({self.wall})"


class Attack(NamedTuple):
    """One attack. The filter's answers to its calls are the policy's, and need no list here."""

    name: str
    kind: str  # its class
    does: str  # in a sentence
    control: str
    write: _Write
    refusals: tuple[Refusal, ...] = ()
    verdicts: tuple[str, ...] = ()  # how the job may be ended for it
    limits: Mapping[str, Any] = MappingProxyType({})
    plant: _Write | None = None  # what an earlier job of the same id leaves behind
    artifact: bytes | None = None  # what the job would have collected
    code: bytes | None = None  # instructions instead of a script


def by(wall: str, **refusals: int) -> tuple[Refusal, ...]:
    """The calls that a wall refuses, with their errno."""
    return tuple(Refusal(call, code, wall) for call, code in refusals.items())


_registered: list[Attack] = []


def registered() -> tuple[Attack, ...]:
    """Every attack that was added, in that order."""
    return tuple(_registered)


def add(new: Attack, machine: str = "") -> None:
    """Register an attack, if it is for this architecture."""
    if machine in ("", os.uname().machine):
        _registered.append(new)


def attack(
    kind: str, control: str, *ways: tuple[Refusal, ...], machine: str = "", **settings: Any
) -> Callable[[_Write], _Write]:
    """Register what the decorated function writes as an attack of its name, told by its docstring.

    `ways`: how other walls than the filter hold it. `machine`: the only one that it is for.
    """

    def register(write: _Write) -> _Write:
        does = " ".join((write.__doc__ or "").split())
        refusals = tuple(refusal for way in ways for refusal in way)
        name = write.__name__.strip("_")
        add(Attack(name, kind, does, control, write, refusals, **settings), machine)
        return write

    return register
