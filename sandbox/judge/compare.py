"""The default output validator of the problem package formats: is an output as the answer says?

Token by token: words without regard to case, numbers within a tolerance where one is set, any
white space as good as any other. The flags make it stricter. Both sides are bytes that anybody may
have written: time is linear in their length, memory is them and a piece of each.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import chain, compress, count, islice
from operator import ne
from typing import NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable, shown, suggestion

__all__ = ["Comparison", "Rules", "compare", "read_flags"]

_FIELD = "output validator flags"
_PIECE_BYTES = 1 << 18  # of either side, split at once; its tokens take some 30 times as much
_SHOWN_BYTES = 40  # of a token
_SHARED_BYTES = 12  # of what two long tokens begin with alike

# isspace(3) in the C locale, which is what bytes.split() and \s of bytes cut at too.
_SPACE = re.compile(rb"\s")
_TOKEN = re.compile(rb"\S+")
_GAP = re.compile(rb"\A\s*|\s+")  # the first one may be of no bytes
# What scanf("%lf") takes whole, as the reference asks it: exponents without digits, hexadecimal.
# Nothing is given back once it is matched (++): a token of 64 MiB is read once.
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]*+)?")
_HEXADECIMAL = re.compile(
    rb"[+-]?0[xX](?:[0-9a-fA-F]++(?:\.[0-9a-fA-F]*+)?|\.[0-9a-fA-F]++)(?:[pP][+-]?[0-9]*+)?"
)
_SHAPE = bytes(ord(" ") if bytes([byte]).isspace() else ord("x") for byte in range(256))
_PLAIN_NUMBERS = b"0123456789+-.eE \t\n\v\f\r"


class Rules(NamedTuple):
    """What the flags say. A tolerance that is not set accepts nothing."""

    is_case_sensitive: bool = False
    is_space_sensitive: bool = False
    absolute: float = -1.0
    relative: float = -1.0

    @property
    def has_tolerance(self) -> bool:
        """Whether numbers are compared as such."""
        return self.absolute >= 0 or self.relative >= 0


class Comparison(NamedTuple):
    """Of one output with its answer."""

    accepted: bool
    message: str = ""  # for the judges: it shows the answer


_ACCEPTED = Comparison(True)
_TOLERANCES = {
    "float_absolute_tolerance": ("absolute",),
    "float_relative_tolerance": ("relative",),
    "float_tolerance": ("absolute", "relative"),
}
_WORDS = {"case_sensitive": "is_case_sensitive", "space_change_sensitive": "is_space_sensitive"}


def read_flags(flags: Sequence[str], field: str = _FIELD) -> Rules:
    """The rules that `flags` set; of a tolerance given twice the last one, as of a test's own.

    Raises SpecError that names `field` and the flag.
    """
    rules = Rules()
    rest = iter(flags)
    for flag in rest:
        if flag in _WORDS:
            rules = rules._replace(**{_WORDS[flag]: True})
        elif flag in _TOLERANCES:
            tolerance = _tolerance(next(rest, None), flag, field)
            rules = rules._replace(**dict.fromkeys(_TOLERANCES[flag], tolerance))
        else:
            near = suggestion(flag, (*_WORDS, *_TOLERANCES))
            raise SpecError(field, f"{shown(flag)} is no flag of the default validator{near}")
    return rules


def _tolerance(word: str | None, flag: str, field: str) -> float:
    if word is None:
        raise SpecError(field, f"{flag} needs a number behind it")
    value = _number(word.encode("utf-8", "replace"))
    if value is None or value < 0:
        raise SpecError(field, f"{flag}: {shown(word)} is no number from 0, as 1e-6 is")
    return value


def compare(answer: bytes, output: bytes, flags: Sequence[str] = ()) -> Comparison:
    """Whether `output` is as good as `answer`. Raises SpecError for `flags` only."""
    rules = read_flags(flags)
    if answer == output:
        return _ACCEPTED
    if not rules.is_case_sensitive and answer.lower() == output.lower():
        return _ACCEPTED  # for any rules: a number is the same in either case
    difference = _first_different_token(answer, output, rules)
    if difference is None and rules.is_space_sensitive:
        difference = _first_different_space(answer, output)
    return _ACCEPTED if difference is None else Comparison(False, difference)


class _Side:
    """The tokens of one side, a piece after the other."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._start = self._end = 0  # of the piece
        self._at = 0  # tokens of it that were taken
        self._tokens: list[bytes] = []

    def waiting(self) -> int:
        """How many tokens are there to be taken; 0 at the end only."""
        while self._at == len(self._tokens) and self._end < len(self._data):
            self._start = self._end
            # A token is never cut: one that is the whole of the data is one piece.
            space = _SPACE.search(self._data, min(self._start + _PIECE_BYTES, len(self._data)))
            self._end = space.start() if space else len(self._data)
            self._tokens = self._data[self._start : self._end].split()
            self._at = 0
        return len(self._tokens) - self._at

    def take(self, count: int) -> list[bytes]:
        """The next ones, of those that wait."""
        self._at += count
        return self._tokens[self._at - count : self._at]

    def place(self, back: int) -> str:
        """Where the token is that was taken so many ago: for people, counted from 1."""
        found = _TOKEN.finditer(self._data, self._start, self._end)
        start = next(m.start() for at, m in enumerate(found) if at == self._at - back)
        line = self._data.count(b"\n", 0, start) + 1
        before = self._data[self._data.rfind(b"\n", 0, start) + 1 : start]
        number = (b" " + before.translate(_SHAPE)).count(b" x") + 1
        return f"line {line}, token {number}"


def _first_different_token(answer: bytes, output: bytes, rules: Rules) -> str | None:
    expected, found = _Side(answer), _Side(output)
    while count := min(expected.waiting(), found.waiting()):
        ours, theirs = expected.take(count), found.take(count)
        if _are_alike(ours, theirs, rules):
            continue
        for at, (want, have) in enumerate(zip(ours, theirs, strict=True)):
            if want != have and (why := _difference(want, have, rules)):
                where, there = found.place(count - at), expected.place(count - at)
                return f"{where}: {why}" + ("" if where == there else f" (answer: {there})")
    if expected.waiting():
        (want,) = expected.take(1)
        state = "is white space only" if output.isspace() else "ends" if output else "is empty"
        return f"the output {state}: expected {_quoted(want)} (answer: {expected.place(1)})"
    if found.waiting():
        (have,) = found.take(1)
        return f"{found.place(1)}: {_quoted(have)} is behind the end of the answer"
    return None


def _are_alike(ours: list[bytes], theirs: list[bytes], rules: Rules) -> bool:
    """Whether a look at all of them at once suffices; False: look at each."""
    if ours == theirs:
        return True
    if not rules.is_case_sensitive and [*map(bytes.lower, ours)] == [*map(bytes.lower, theirs)]:
        return True
    if not rules.has_tolerance:
        return False
    for tokens in (ours, theirs):
        # float() takes more than scanf does: 1_0, nan, infinity.
        if b"".join(tokens).translate(None, _PLAIN_NUMBERS):
            return False
    try:
        pairs = zip(map(float, ours), map(float, theirs), strict=True)
        absolute, relative = rules.absolute, rules.relative
        # An infinite bound says that the number was too big for one: not decided here.
        return all(
            abs(want - have) <= max(absolute, relative * abs(want)) < math.inf
            for want, have in pairs
        )
    except ValueError:
        return False


def _difference(want: bytes, have: bytes, rules: Rules) -> str | None:
    """Why `have` is no `want`, for people; None: it is."""
    wanted = _number(want) if rules.has_tolerance else None
    if wanted is not None:
        value = _number(have)
        if value is None:
            return f"expected the number {_quoted(want)}, found {_quoted(have)}"
        off = abs(wanted - value)
        if off <= rules.absolute or off <= rules.relative * abs(wanted):
            return None
        share = f", {off / abs(wanted):.3g} of it" if wanted else ""
        allowed = [f"{rules.absolute:g}"] if rules.absolute >= 0 else []
        allowed += [f"{rules.relative:g} of it"] if rules.relative >= 0 else []
        return (
            f"expected {_quoted(want)}, found {_quoted(have)}: off by {off:.3g}{share}"
            f" (allowed: {' or '.join(allowed)})"
        )
    if not rules.is_case_sensitive and want.lower() == have.lower():
        return None
    if max(len(want), len(have)) <= _SHOWN_BYTES:
        return f"expected {_quoted(want)}, found {_quoted(have)}"
    alike = _length_alike(want, have)
    skipped = max(0, alike - _SHARED_BYTES)
    return (
        f"expected {_quoted(want, skipped)}, found {_quoted(have, skipped)},"
        f" which differ from byte {alike + 1} on"
    )


def _number(token: bytes) -> float | None:
    """The finite number that all of `token` is, or None."""
    if _DECIMAL.fullmatch(token):
        value = float(token.rstrip(b"+-").rstrip(b"eE"))
    elif _HEXADECIMAL.fullmatch(token):
        try:
            value = float.fromhex(token.decode().rstrip("+-").rstrip("pP"))
        except OverflowError:
            return None
    else:
        return None
    return value if math.isfinite(value) else None


def _length_alike(one: bytes, other: bytes) -> int:
    """How many bytes both begin with: halving, because a loop over 64 MiB takes seconds."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _first_different_space(answer: bytes, output: bytes) -> str | None:
    """Of two sides whose tokens are alike. What follows the last gap of both is "", so that a gap
    behind the last token of one is seen."""
    wanted, found = (
        chain(map(re.Match.group, _GAP.finditer(side)), (b"",)) for side in (answer, output)
    )
    number = next(compress(count(), map(ne, wanted, found)), None)
    if number is None:
        return None
    want, have = (
        next(islice(_GAP.finditer(side), number, None), None) for side in (answer, output)
    )
    at = have.start() if have else len(output)
    line = output.count(b"\n", 0, at) + 1
    expected, there = (_quoted(gap[0] if gap else b"") for gap in (want, have))
    return f"line {line}: expected white space {expected}, found {there}"


def _quoted(data: bytes, skipped: int = 0) -> str:
    """A line's worth of it, with nothing that a terminal would obey."""
    part = data[skipped : skipped + _SHOWN_BYTES]
    text = printable(part.decode("utf-8", "backslashreplace"))
    before = "…" if skipped else ""
    more = f"… ({len(data)} bytes)" if len(data) > skipped + _SHOWN_BYTES else ""
    return f'"{before}{text}{more}"'
