"""All calls that there can be, as the few classes that neither a filter nor a table tells apart.

A filter decides by comparing words of a call, perhaps under a mask, with constants. Between two
neighbouring constants, its own and the table's, every value is treated alike: so one value of each
gap stands for all of it, and what holds for these few calls holds for every call.
"""

import itertools
import struct
from collections.abc import Iterable, Iterator

__all__ = ["Word", "arches", "arguments", "calls_numbered"]

Word = tuple[int, int]  # offset in struct seccomp_data, mask
_NUMBER, _ARCH, _ARGUMENTS, _END = 0, 4, 16, 64
_ALL = 0xFFFFFFFF
_LOAD, _AND, _RETURN, _JUMP, _EQUAL, _AT_LEAST = 0x20, 0x54, 0x06, 0x05, 0x15, 0x35
_MOST_CLASSES = 100_000


def arches(program: bytes) -> list[int]:
    """One arch of each class."""
    return _representatives((_ARCH, _ALL), _compared(program, None, None).get((_ARCH, _ALL), ()))


def calls_numbered(program: bytes, arch: int, numbers: Iterable[int]) -> list[int]:
    """One number of each class of those that `program` and a table of `numbers` tell apart."""
    compared = _compared(program, arch, None)
    assert not any(at == _NUMBER and mask != _ALL for at, mask in compared), "a masked number"
    return _representatives((_NUMBER, _ALL), {*compared.get((_NUMBER, _ALL), ()), *numbers})


def arguments(
    program: bytes, arch: int, number: int, table: dict[Word, set[int]]
) -> Iterator[tuple[int, ...]]:
    """One set of registers of each class. `table`: the words that it looks at, and their values.

    The bits that nobody looks at are once all 0, once all 1.
    """
    words: dict[Word, set[int]] = {word: set(values) for word, values in table.items()}
    for (at, mask), values in _compared(program, arch, number).items():
        if at >= _ARGUMENTS:
            words.setdefault((at, mask), set()).update(values)
    offsets = [at for at, _ in words]
    assert len(offsets) == len(set(offsets)), f"one word under two masks: {sorted(words)}"
    choices = [
        [(word, value) for value in _representatives(word, values)]
        for word, values in sorted(words.items())
    ]
    for count, chosen in enumerate(itertools.product(*choices)):
        assert count < _MOST_CLASSES
        for rest in (0, _ALL):
            registers = [rest << 32 | rest] * 6
            for (at, mask), value in chosen:
                index, high = divmod(at - _ARGUMENTS, 8)
                keep = ~(mask << 8 * high)
                registers[index] = registers[index] & keep | value << 8 * high
            yield tuple(registers)


def _representatives(word: Word, constants: Iterable[int]) -> list[int]:
    """The least value under the mask of each gap between the constants."""
    mask = word[1]
    borders = sorted({0, *constants, *(value + 1 for value in constants)} - {_ALL + 1})
    least = (_least(mask, border) for border in borders)
    return sorted({value for value in least if value is not None})


def _least(mask: int, border: int) -> int | None:
    """The least value from `border` on that has no bit outside `mask`."""
    if border & ~mask == 0:
        return border
    # Keep the bits above some place, raise the bit there, clear all below.
    for place in range(32):
        bit = 1 << place
        value = (border >> place + 1 << place + 1) | bit
        if mask & bit and not border & bit and value & ~mask == 0:
            return value
    return None


def _compared(program: bytes, arch: int | None, number: int | None) -> dict[Word, set[int]]:
    """What is compared with what on all ways through the program; None: any arch, any number."""
    lines = list(struct.iter_unpack("=HBBI", program))
    known = {_NUMBER: number, _ARCH: arch}
    found: dict[Word, set[int]] = {}
    pending: list[tuple[int, Word | int]] = [(0, 0)]  # the next line; the accumulator, at first 0
    seen = set(pending)
    while pending:
        at, held = pending.pop()
        code, yes, no, k = lines[at]
        after: list[tuple[int, Word | int]]
        if code == _RETURN:
            after = []
        elif code == _LOAD:
            if k % 4 or k >= _END or k in (8, 12):
                raise ValueError(f"a load from {k}, at {at}")
            value = known.get(k)
            after = [(at + 1, (k, _ALL) if value is None else value & _ALL)]
        elif code == _AND:
            after = [(at + 1, held & k if isinstance(held, int) else (held[0], held[1] & k))]
        elif code == _JUMP:
            after = [(at + 1 + k, held)]
        elif code in (_EQUAL, _AT_LEAST) and isinstance(held, int):
            jumps = held == k if code == _EQUAL else held >= k
            after = [(at + 1 + (yes if jumps else no), held)]
        elif code in (_EQUAL, _AT_LEAST):
            # At least k: k itself is the border, and k + 1 does no harm.
            found.setdefault(held, set()).add(k)
            after = [(at + 1 + yes, held), (at + 1 + no, held)]
        else:
            raise ValueError(f"instruction {code:#x} at {at}")
        for step in after:
            if step not in seen:
                seen.add(step)
                pending.append(step)
    return found
