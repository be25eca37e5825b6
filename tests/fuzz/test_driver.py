"""The driver: it finds what is to be found, ends when it was told to, and says what it saw."""

import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.bpf import check, decide
from fuzz.campaign import Moment, Outcome
from fuzz.choices import Choices
from fuzz.curves import curves
from fuzz.driver import Finding, explore
from fuzz.mutation import MOST_BYTES, Mutator
from sandbox.spec.fields import printable
from sandbox.supervisor.seccomp import init_filter

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_seed_makes_the_same_inputs() -> None:
    first, again, other = (Mutator([b"seed", b"other"], [b"token"], n) for n in (1, 1, 2))
    made = [first() for _ in range(100)]
    assert made == [again() for _ in range(100)]
    assert made != [other() for _ in range(100)]
    assert len(set(made)) > 50 and max(map(len, made)) <= MOST_BYTES


def test_a_finding_has_its_input_and_its_cause() -> None:
    def target(data: bytes) -> None:
        assert b"!" not in data, printable(data.decode("latin-1"))

    with pytest.raises(Finding) as found:
        explore(target, Mutator([b"one"], [b"!"], seed=1), 10_000, 600)
    assert found.value.tried < 10_000
    assert b"!" in found.value.data
    assert isinstance(found.value.__cause__, AssertionError)


def test_an_input_that_reaches_new_lines_is_built_upon() -> None:
    def target(data: bytes) -> None:
        if data.startswith(b"!"):
            printable(data.decode("latin-1"))  # a line of ours that no seed reaches

    mutator = Mutator([b"one"], [b"!"], seed=1)
    explore(target, mutator, 2000, 600)
    assert len(mutator) > 1 and mutator.known[1].startswith(b"!")


def test_a_run_that_finds_nothing_ends_after_its_inputs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tried: list[bytes] = []
    assert explore(tried.append, Mutator([b"a", b"b"], [], seed=1), 50, 600) == 50
    assert len(tried) == 52, "the corpus comes first"
    assert capsys.readouterr().err.splitlines()[-1] == "#50\tDONE cov: 0 corp: 2"


def test_choices_have_an_answer_whatever_the_bytes() -> None:
    empty = Choices(b"")
    assert empty.is_over
    assert (empty.below(5), empty.flag(), empty.integer()) == (0, False, 0)
    assert empty.data() == empty.rest() == b""
    choices = Choices(bytes([7, 3, 1, 2, 3, 255]))
    assert choices.below(5) == 2
    assert choices.data() == b"\x01\x02\x03"
    assert choices.one_of("abc") == "a"
    assert choices.is_over


@pytest.mark.parametrize(
    "line",
    [
        b"\x15\x00\x01\x00\x00\x00\x00\x00",  # a jump over the end
        b"\x20\x00\x00\x00\x40\x00\x00\x00",  # a load from behind the data
        b"\x20\x00\x00\x00\x02\x00\x00\x00",  # and one between two words
        b"\x00\x00\x00\x00\x00\x00\x00\x00",  # ld #0, which our compiler does not write
    ],
)
def test_a_filter_that_the_kernel_would_not_take_is_noticed(line: bytes) -> None:
    end = b"\x06\x00\x00\x00\x00\x00\xff\x7f"
    assert decide(check(end), 0, 0, (0,) * 6) == 0x7FFF0000
    check(init_filter())
    with pytest.raises(AssertionError):
        check(line + end)
    with pytest.raises(AssertionError):
        check(end + b"\x20" + bytes(7))  # it does not end with a return


def test_one_command_runs_targets_and_writes_what_they_reached(tmp_path: Path) -> None:
    results = tmp_path / "results"
    done = subprocess.run(
        [sys.executable, "-m", "fuzz", "--targets=conversation,syscall_text", "--inputs=200",
         "--seed=6", f"--results={results}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    _, first, second = done.stdout.splitlines()
    assert first.split()[:2] == ["conversation", "200"] and first.endswith("nothing")
    assert second.split()[:2] == ["syscall_text", "200"]
    assert {path.name for path in results.iterdir()} == {"fuzz.json", "fuzz.csv", "fuzz.svg"}
    assert "conversation" in (results / "fuzz.svg").read_text()


def test_an_outcome_tells_what_was_reached_by_when() -> None:
    moments = (Moment(0.0, 0, 0), Moment(1.0, 5, 10), Moment(4.0, 90, 30))
    outcome = Outcome("frame", 100, 8.0, moments, "")
    assert [outcome.reached_at(s) for s in (0.5, 1.0, 3.9, 8.0)] == [0, 10, 10, 30]
    assert "frame: 30 after 100 inputs" in curves([outcome], "lines")
