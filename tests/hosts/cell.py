"""A kind of host: how one is made out of this one, and what jobs must find there."""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["GUEST", "ROOT", "USER", "Cell"]

USER, ROOT, GUEST = "user", "root", "guest"  # who can make it


class Cell(NamedTuple):
    """One host. What is examined in it runs as an ordinary user, unless `as_root`."""

    name: str
    host: str  # what it is, for the document
    by: str
    # How it is made, in this order: as root, in mount (and pid) namespaces of its own; the words
    # before the command as root; those before it as the user.
    prepare: str = ""
    root_words: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    each: tuple[str, ...] = ()  # before each command that is examined
    restore: str = ""  # as root, in a guest that has other hosts to be
    rounds: int = 0  # how often the doctor's script is asked for, and run twice by root, before
    own_pids: bool = False
    as_root: bool = False
    guest: tuple[str, ...] = ()  # options of tests/guest/guest
    needs: tuple[str, ...] = ()  # programs of this host
    long: bool = False  # visited with SANDBOX_LONG=1 only: others of its kind are visited always
    # What must come out.
    runs: bool = True  # default jobs
    runs_degraded: bool = True  # with --allow-degraded, where default jobs do not
    walls: Mapping[str, str] = {}  # the state of each that is not up
    says: str = ""  # part of what the refused job says
    fix: str = ""  # part of a fix that the doctor tells
