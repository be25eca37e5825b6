"""Classic BPF for seccomp: decisions about the words of a call, laid out as one short program.

Every jump of BPF goes forward, so a program is written from its end: what a decision leads to has
its place before the decision does, and what is there already is shared. Short matters: the kernel
translates each instruction, and runs the filter once a syscall number, when it is loaded (for its
bitmap of allowed calls, kernel/seccomp.c, which follows the instructions below and few others).
seccomp(2), struct sock_filter in <linux/filter.h>.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

__all__ = ["ALL_BITS", "ARCH_AT", "ARGUMENTS_AT", "MOST_INSTRUCTIONS", "NUMBER_AT", "Program"]

NUMBER_AT, ARCH_AT, ARGUMENTS_AT = 0, 4, 16  # offsets in struct seccomp_data
ALL_BITS = 0xFFFFFFFF  # of a word
MOST_INSTRUCTIONS = 4096  # BPF_MAXINSNS

_INSTRUCTION = struct.Struct("=HBBI")  # code, jump if true, jump if false, k
_LOAD, _AND, _RETURN, _JUMP, _JUMP_EQUAL, _JUMP_AT_LEAST = 0x20, 0x54, 0x06, 0x05, 0x15, 0x35
_NEAR = 255  # conditional jumps have eight bits


class Program:
    """A filter in the making. A place in it is the number of instructions that follow: fixed."""

    def __init__(self) -> None:
        self._lines: list[tuple[int, int, int, int]] = []  # the last instruction first
        self._places: dict[tuple[int, ...], int] = {}  # of what can be shared
        self._copies: dict[int, int] = {}  # place -> nearest place with the same effect

    def __len__(self) -> int:
        return len(self._lines)

    def give(self, value: int) -> int:
        """Write, unless it is there, the end of a filter that returns `value` (SECCOMP_RET_*)."""
        if (value,) not in self._places:
            self._places[(value,)] = self._write(_RETURN, 0, 0, value)
        return self._places[(value,)]

    def look(
        self,
        offset: int,
        mask: int,
        values: Mapping[int, int],
        otherwise: int,
        beyond: tuple[int, int] | None = None,
    ) -> int:
        """Write where each value of the word at `offset` under `mask` goes, all others `otherwise`.

        `beyond`: a value above all of `values`, and where it goes, as does all above it.
        """
        runs = [*_runs(values, otherwise), *([beyond] if beyond else [])]
        first = self._search(_folded(runs))
        if first == otherwise:
            return otherwise
        written = (offset, mask, first)
        if written not in self._places:
            if first != len(self._lines) - 1:  # a load goes on to the line below it
                self._write(_JUMP, 0, 0, len(self._lines) - first - 1)
            if mask != ALL_BITS:
                self._write(_AND, 0, 0, mask)
            self._places[written] = self._write(_LOAD, 0, 0, offset)
        return self._places[written]

    def to_bytes(self) -> bytes:
        """struct sock_filter[], from what was written last."""
        return b"".join(_INSTRUCTION.pack(*line) for line in reversed(self._lines))

    def _search(self, runs: list["_Run"]) -> int:
        """A tree over the runs; where a run has exceptions, they are asked for one by one."""
        if len(runs) > 1:
            middle = len(runs) // 2
            above, below = self._search(runs[middle:]), self._search(runs[:middle])
            return self._test(_JUMP_AT_LEAST, runs[middle].first, above, below)
        place = runs[0].place
        for value, exception in runs[0].exceptions:
            place = self._test(_JUMP_EQUAL, value, exception, place)
        return place

    def _test(self, code: int, k: int, yes: int, no: int) -> int:
        written = (code, k, yes, no)
        if written not in self._places:
            yes = self._near(yes, _NEAR - 1)  # `no` may take a line in between
            no = self._near(no, _NEAR)
            end = len(self._lines) - 1
            self._places[written] = self._write(code, end - yes, end - no, k)
        return self._places[written]

    def _near(self, place: int, most: int) -> int:
        """`place`, or what has its effect and is at most `most` lines from the next."""
        near = self._copies.get(place, place)
        if len(self._lines) - near - 1 > most:
            line = self._lines[place]
            if line[0] != _RETURN:
                line = (_JUMP, 0, 0, len(self._lines) - place - 1)
            near = self._copies[place] = self._write(*line)
        return near

    def _write(self, code: int, yes: int, no: int, k: int) -> int:
        self._lines.append((code, yes, no, k))
        return len(self._lines) - 1


class _Run(NamedTuple):
    first: int
    place: int
    exceptions: list[tuple[int, int]]  # value, place: in this run, and yet elsewhere


def _runs(values: Mapping[int, int], otherwise: int) -> Iterator[tuple[int, int]]:
    """(first value, place) of each run of values that go to the same place, in order, from 0."""
    places = {value + 1: otherwise for value in values} | {0: otherwise} | values
    last = None
    for value in sorted(places):
        if places[value] != last and value <= ALL_BITS:
            last = places[value]
            yield value, last


def _folded(runs: Iterable[tuple[int, int]]) -> list[_Run]:
    """Runs of one place that only single values part become one: n tests for its n exceptions,
    where there were n + 1 borders."""
    folded: list[_Run] = []
    for first, place in runs:
        at, end = len(folded) - 1, first
        while at >= 0 and folded[at].place != place and _is_single(folded[at], end):
            end = folded[at].first
            at -= 1
        if at >= 0 and folded[at].place == place:
            start, _, exceptions = folded[at]
            parting = [(run.first, run.place) for run in folded[at + 1 :]]
            folded[at:] = [_Run(start, place, exceptions + parting)]
        else:
            folded.append(_Run(first, place, []))
    return folded


def _is_single(run: _Run, end: int) -> bool:
    return run.first == end - 1 and not run.exceptions
