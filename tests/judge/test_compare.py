"""The default output validator: its decisions, its messages, and that no bytes confuse it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.compare import number_by_scanf, plainly
from sandbox.judge import compare as compare_module
from sandbox.judge.compare import Rules, compare, read_flags
from sandbox.spec.errors import SpecError

CASE, SPACE = ["case_sensitive"], ["space_change_sensitive"]
NEAR = ["float_tolerance", "1e-6"]
ABSOLUTE, RELATIVE = ["float_absolute_tolerance", "0.5"], ["float_relative_tolerance", "0.5"]
MILLION = 1 << 20

# As the reference decides, run on each of them: answer, output, flags, accepted.
DECISIONS = [
    (b"", b"", [], True),
    (b"", b" \n", [], True),
    (b"", b"x", [], False),
    (b"x", b"", [], False),
    (b"x", b"\n\n", [], False),
    (b"1 2\n", b"1\r\n2", [], True),
    (b"1 2\n", b"\v1\f2\t\t", [], True),
    (b"1 2\n", b"12\n", [], False),
    (b"1 2\n", b"1 2 3\n", [], False),
    (b"1 2 3\n", b"1 2\n", [], False),
    (b"Yes\n", b"yES", [], True),
    (b"Yes\n", b"yES", CASE, False),
    (b"Yes\n", b"Yes", CASE, True),
    (b"\xc9\n", b"\xe9\n", [], False),  # letters are ASCII's
    (b"a\x85b\n", b"a b\n", [], False),  # and so is white space
    (b"a\x1cb\n", b"a b\n", [], False),
    (b"1\n", b"1.0\n", [], False),
    (b"a b\n", b"a b\n", SPACE, True),
    (b"a b\n", b"A B\n", SPACE, True),
    (b"a b\n", b"A B\n", SPACE + CASE, False),
    (b"a b\n", b"a b", SPACE, False),
    (b"a b\n", b"a b\n\n", SPACE, False),
    (b"a b\n", b" a b\n", SPACE, False),
    (b" a b", b"a b ", SPACE, False),
    (b"a b\n", b"a\tb\n", SPACE, False),
    (b"a\nb\n", b"a\r\nb\r\n", SPACE, False),
    (b"", b"\n", SPACE, False),
    (b"\n", b"", SPACE, False),
    (b"1.0 x\n", b"1.00 x\n", SPACE + NEAR, True),
    (b"1.0 x\n", b"1.00  x\n", SPACE + NEAR, False),
    (b"0.0314", b"3.14000000e-2", NEAR, True),
    (b"1", b"1.0000009", NEAR, True),
    (b"1", b"1.0000011", NEAR, False),
    (b"1000000", b"1000000.9", NEAR, True),  # relative
    (b"0", b"0.0000009", NEAR, True),  # absolute
    (b"0", b"0.1", RELATIVE, False),
    (b"0", b"-0", RELATIVE, True),
    (b"10", b"10.5", ABSOLUTE, True),
    (b"10", b"10.6", ABSOLUTE, False),
    (b"10", b"15", RELATIVE, True),
    (b"10", b"15.1", RELATIVE, False),
    (b"15.1", b"10", RELATIVE, True),  # of the answer, not of the output
    (b"10", b"10.6", ABSOLUTE + RELATIVE, True),  # either suffices
    (b"1 yes", b"1. YES", NEAR, True),
    (b"1 yes", b"1. YES", NEAR + CASE, False),
    (b"1 yes", b"1. 1", NEAR, False),
    (b"1", b"yes", NEAR, False),
    (b"1", b"1x", NEAR, False),
    (b"1", b"+1", NEAR, True),
    (b".5", b"0.5", NEAR, True),
    (b"5.", b"5", NEAR, True),
    (b"1", b"1_0", ["float_tolerance", "100"], False),
    (b"1", b"1,0", NEAR, False),
    (b"1", b"nan", ["float_tolerance", "1e300"], False),
    (b"1", b"inf", ["float_tolerance", "1e300"], False),
    (b"1", b"1e999", ["float_relative_tolerance", "1e300"], False),
    (b"1e999", b"1", ["float_relative_tolerance", "1"], False),  # too big: a word like any other
    (b"1e999", b"1E999", NEAR, True),
    (b"nan", b"NaN", NEAR, True),
    (b"nan", b"NaN", NEAR + CASE, False),
    (b"inf", b"infinity", NEAR, False),
    (b"1e-999", b"0", NEAR, True),
    (b"1e308", b"-1e308", ["float_relative_tolerance", "1"], False),
    (b"1e308", b"-1e308", ["float_relative_tolerance", "1e10"], True),
    (b"16", b"0x10", NEAR, True),
    (b"8", b"0X1P3", NEAR, True),
    (b"1", b"1e", NEAR, True),  # as scanf(3) of glibc has it
    (b"1", b"1e+", NEAR, True),
    (b"1", b"e", NEAR, False),
    (b"1 ", b"1.0 ", ["float_tolerance", "0"], True),
    (b"1 2 3 4", b"1 2. 0x3 5", NEAR, False),
]


@pytest.mark.parametrize(("answer", "output", "flags", "accepted"), DECISIONS)
def test_it_decides_as_the_reference(
    answer: bytes, output: bytes, flags: list[str], accepted: bool
) -> None:
    comparison = compare(answer, output, flags)
    assert comparison.accepted is accepted
    assert bool(comparison.message) is not accepted


def test_what_is_behind_a_nul_counts() -> None:
    """The reference compares C strings: there anything may follow the NUL."""
    assert not compare(b"a\0b", b"a\0c").accepted
    assert not compare(b"a", b"a\0").accepted
    assert not compare(b"1", b"1\0", NEAR).accepted
    assert compare(b"a\0b", b"A\0B").accepted


@pytest.mark.parametrize(
    ("answer", "output", "flags", "message"),
    [
        (b"1\n2 3\n", b"1 2\n4\n", [],
         'line 2, token 1: expected "3", found "4" (answer: line 2, token 2)'),
        (b"1 2\n", b"", [], 'the output is empty: expected "1" (answer: line 1, token 1)'),
        (b"1 2\n", b" \n", [],
         'the output is white space only: expected "1" (answer: line 1, token 1)'),
        (b"1\n2\n", b"1\n", [], 'the output ends: expected "2" (answer: line 2, token 1)'),
        (b"1\n", b"1\n\n 2 3\n", [], 'line 3, token 1: "2" is behind the end of the answer'),
        (b"2", b"two", NEAR, 'line 1, token 1: expected the number "2", found "two"'),
        (b"2", b"3", [*RELATIVE[:1], "1e-3"],
         'line 1, token 1: expected "2", found "3": off by 1, 0.5 of it (allowed: 0.001 of it)'),
        (b"0", b"3", NEAR,
         'line 1, token 1: expected "0", found "3": off by 3 (allowed: 1e-06 or 1e-06 of it)'),
        (b"\x1b[2J\xff", b"\n\xc3\xa9\0", [],
         'line 2, token 1: expected "\\x1b[2J\\xff", found "é\\x00" (answer: line 1, token 1)'),
        (b"a" * 99 + b"b", b"a" * 99 + b"c", [],
         'line 1, token 1: expected "…aaaaaaaaaaaab", found "…aaaaaaaaaaaac",'
         " which differ from byte 100 on"),
        (b"a\nb c\n", b"a\nb  c\n", SPACE, 'line 2: expected white space " ", found "  "'),
        (b"a\n", b"a", SPACE, 'line 1: expected white space "\\n", found ""'),
        (b"a", b"\na", SPACE, 'line 1: expected white space "", found "\\n"'),
    ],
)  # fmt: skip
def test_a_message_says_where_and_what(
    answer: bytes, output: bytes, flags: list[str], message: str
) -> None:
    assert compare(answer, output, flags).message == message


@pytest.mark.parametrize(
    ("output", "is_space"),
    [(b"a  b\n", True), (b"a b", True), (b"a  c\n", False), (b"a b\nc", False), (b"", False)],
)
def test_a_difference_in_white_space_is_told_where_there_is_no_other(
    output: bytes, is_space: bool
) -> None:
    comparison = compare(b"a b\n", output, SPACE)
    assert not comparison.accepted
    assert ("expected white space" in comparison.message) is is_space


@pytest.mark.parametrize(
    ("flags", "rules"),
    [
        ([], Rules()),
        (CASE + SPACE, Rules(True, True)),
        (NEAR, Rules(absolute=1e-6, relative=1e-6)),
        (ABSOLUTE, Rules(absolute=0.5)),
        ([*RELATIVE, *NEAR], Rules(absolute=1e-6, relative=1e-6)),
        ([*NEAR, *RELATIVE], Rules(absolute=1e-6, relative=0.5)),  # a test's own come behind
        (["float_tolerance", ".5"], Rules(absolute=0.5, relative=0.5)),
    ],
)
def test_flags_are_rules(flags: list[str], rules: Rules) -> None:
    assert read_flags(flags) == rules


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["case_sensitiv"], '"case_sensitiv" is no flag of the default validator;'
                            " did you mean case_sensitive?"),
        (["1e-6"], '"1e-6" is no flag of the default validator'),
        (["float_tolerance"], "float_tolerance needs a number behind it"),
        (["float_tolerance", "1e-6x"], 'float_tolerance: "1e-6x" is no number from 0, as 1e-6 is'),
        (["float_tolerance", "-1"], 'float_tolerance: "-1" is no number from 0, as 1e-6 is'),
        (["float_tolerance", "nan"], 'float_tolerance: "nan" is no number from 0, as 1e-6 is'),
        (["float_tolerance", "1e999"], 'float_tolerance: "1e999" is no number from 0, as 1e-6 is'),
        (["float_tolerance", "\udcff"],
         'float_tolerance: "\\udcff" is no number from 0, as 1e-6 is'),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_named(flags: list[str], problem: str) -> None:
    with pytest.raises(SpecError) as refused:
        compare(b"", b"", flags)
    assert str(refused.value) == f"output validator flags: {problem}"


@pytest.mark.parametrize(
    ("answer", "output", "accepted"),
    [
        (b"7" * MILLION, b"7" * MILLION + b"\n", True),
        (b"1", b"7" * MILLION, False),
        (b"1", b"7" * MILLION + b"x", False),
        (b"0.77777777", b"0." + b"7" * MILLION, True),
        (b"7.7777777", b"7" * MILLION + b"e-%d" % (MILLION - 1), True),
        (b"1", b"0x" + b"f" * MILLION, False),
        (b"1", b"1e" + b"9" * MILLION, False),
        (b"0", b"1e-" + b"9" * MILLION, True),
        (b"1", b"." * MILLION, False),
        (b"1", b"\0" * MILLION, False),
        (b"1", b" " * MILLION + b"1", True),
        (b"1 " * MILLION, b"1\n" * MILLION, True),
        (b"1 " * MILLION, b"1\n" * MILLION + b"1", False),
        (b"0.5 " * MILLION, b"5e-1 " * MILLION, True),
        (b"yes " * MILLION, b"YES\n" * MILLION, True),
    ],
    ids=range(15),
)
def test_a_million_of_anything_is_read_once(answer: bytes, output: bytes, accepted: bool) -> None:
    """A quadratic look at one of these takes minutes."""
    comparison = compare(answer, output, NEAR)
    assert comparison.accepted is accepted
    assert len(comparison.message) < 400


TOKENS = st.one_of(
    st.sampled_from([b"1", b"1.0", b"1e0", b"+1", b"0x1", b"1.0000001", b"yes", b"YES", b"nan"]),
    st.sampled_from([b"NAN", b"1e999", b"0", b"-0", b".", b"1_0", b"\xff", b"\0", b"a\0", b"a"]),
    st.floats(allow_nan=False, width=32).map(lambda value: b"%r" % value),
    st.binary(min_size=1, max_size=6).filter(lambda token: not re.search(rb"\s", token)),
)
SPACES = st.sampled_from([b" ", b"\n", b"\r\n", b"\t", b"\v\f", b" \n "])
TEXTS = st.lists(st.one_of(TOKENS, SPACES), max_size=12).map(b"".join)
FLAGS = st.lists(
    st.sampled_from([CASE, SPACE, NEAR, ABSOLUTE, RELATIVE, ["float_tolerance", "0"]]), max_size=3
).map(lambda parts: [flag for part in parts for flag in part])


@given(st.text("0123456789.eE+-xXpPaAfinFINTY_", max_size=10))
def test_a_number_is_what_scanf_takes_whole(text: str) -> None:
    assert compare_module._number(text.encode()) == number_by_scanf(text.encode())


@given(TEXTS, TEXTS, FLAGS, st.integers(1, 40))
def test_pieces_decide_as_a_plain_reading_does(
    answer: bytes, output: bytes, flags: list[str], piece_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_module, "_PIECE_BYTES", piece_bytes)
        for ours, theirs in ((answer, output), (answer, answer + output), (answer, answer)):
            comparison = compare(ours, theirs, flags)
            assert comparison.accepted is plainly(ours, theirs, read_flags(flags))


@given(st.binary(max_size=60), st.binary(max_size=60), FLAGS)
def test_any_bytes_have_a_decision_and_a_line_to_print(
    answer: bytes, output: bytes, flags: list[str]
) -> None:
    comparison = compare(answer, output, flags)
    assert comparison.message.isprintable()
    assert bool(comparison.message) is not comparison.accepted
