"""The default output validator: answer and output, which a package and a submission have written.

Of an input the first byte chooses the flags and the second one how little is split at once; the
rest is the answer and, behind the first |, the output. Each decision is made twice: by pieces, and
plainly, a token after the other, with the C library's word for what a number is.
"""

import ctypes
import math
import re
from itertools import zip_longest

from fuzz.choices import Choices
from fuzz.driver import main
from sandbox.judge import compare as compared
from sandbox.judge.compare import Rules, compare, read_flags
from sandbox.spec.errors import SpecError

__all__ = ["FLAGS", "TOKENS", "number_by_scanf", "plainly", "target"]

_MOST_MESSAGE = 400
_WORDS = ((), ("case_sensitive",), ("space_change_sensitive",))
_TOLERANCES = (
    (), ("float_tolerance", "1e-6"), ("float_tolerance", "0"), ("float_tolerance", "1e10"),
    ("float_absolute_tolerance", "0.5"), ("float_relative_tolerance", "0.5"),
    ("float_relative_tolerance", "0", "float_absolute_tolerance", "1e-9"),
)  # fmt: skip
FLAGS = [
    (*case, *space, *near) for case in _WORDS[:2] for space in _WORDS[::2] for near in _TOLERANCES
]
TOKENS = (
    b"|", b" ", b"\n", b"\r\n", b"\t\v\f", b"\x1c", b"\x85", b"\0", b"0", b"1", b"-1", b".5", b"1.",
    b"1e", b"1e+", b"e5", b"1e999", b"1e-999", b"0x1", b"0x1p3", b"0x", b"inf", b"NaN", b"infinity",
    b"1_0", b"1.0000001", b"yes", b"YES", b"\xc3\xa9", b"9" * 40, b"float_tolerance", b" 1e-6",
)  # fmt: skip


def target(data: bytes) -> None:
    """The same decision as a plain reading; a rejection has a line to print; flags are read."""
    choices = Choices(data)
    flags = choices.one_of(FLAGS)
    compared._PIECE_BYTES = 1 + choices.below(64)
    answer, _, output = choices.rest().partition(b"|")
    for ours, theirs in ((answer, output), (output, answer), (answer, answer.swapcase() + output)):
        found = compare(ours, theirs, flags)
        rules = read_flags(flags)
        assert found.accepted is plainly(ours, theirs, rules), (ours, theirs, flags)
        assert bool(found.message) is not found.accepted
        assert found.message.isprintable() and len(found.message) < _MOST_MESSAGE
    try:
        rules = read_flags(output.decode("utf-8", "surrogateescape").split(" "))
    except SpecError as error:
        assert str(error).isprintable()
    else:
        assert all(-1 <= bound < math.inf for bound in (rules.absolute, rules.relative))


def plainly(answer: bytes, output: bytes, rules: Rules) -> bool:
    """Whether `output` is accepted, by a reading that is as simple as it is slow."""
    if rules.is_space_sensitive:
        gaps = [re.split(rb"\S+", side) for side in (answer, output)]
        if gaps[0] != gaps[1]:
            return False
    for want, have in zip_longest(answer.split(), output.split()):
        if want is None or have is None:
            return False
        wanted = number_by_scanf(want) if rules.has_tolerance else None
        if wanted is not None:
            value = number_by_scanf(have)
            if value is None:
                return False
            off = abs(wanted - value)
            if not (off <= rules.absolute or off <= rules.relative * abs(wanted)):
                return False
        elif want != have and (rules.is_case_sensitive or want.lower() != have.lower()):
            return False
    return True


def number_by_scanf(token: bytes) -> float | None:
    """The finite number that the reference takes `token` for: it asks the C library.

    But for a NUL, which would end the token there, and for 0x. which glibc takes for a zero and
    no other C library does.
    """
    if b"\0" in token or re.fullmatch(rb"[+-]?0[xX]\.", token):
        return None
    value, more = ctypes.c_double(), ctypes.create_string_buffer(11)
    found = _SSCANF(token, b"%lf%10s", ctypes.byref(value), more)
    return value.value if found == 1 and math.isfinite(value.value) else None


_SSCANF = ctypes.CDLL(None).sscanf

if __name__ == "__main__":
    main("compare", target, TOKENS)
