"""What `sandbox doctor --attack` prints, and what its exit code says."""

import json
import subprocess
import sys
from typing import Any

import pytest

from sandbox.attack import report
from sandbox.attack.attack import BARE, Attack, by
from sandbox.attack.campaign import Campaign, Row
from sandbox.attack.judge import ESCAPED, HELD, NO_CONTROL, ODD, Outcome
from sandbox.attack.report import document, is_held, lines

BY_FILTER = Outcome(HELD, "mount SIGKILL", "syscalls")
BY_VIEW = Outcome(HELD, "openat ENOENT", "view")


def row(name: str, kind: str, *outcomes: Outcome, control: str = "") -> Row:
    refusals = by("view", openat=2)
    attack = Attack(name, kind, "Does it.", BARE, lambda *_: None, refusals)
    return Row(attack, control, dict(zip(("native", "strict"), outcomes, strict=True)))


def campaign(*rows: Row, damage: tuple[str, ...] = ()) -> Campaign:
    return Campaign(rows, {"native": [], "strict": list(damage)}, ("native", "strict"))


ALL_HELD = campaign(
    row("one", "mounts", BY_FILTER, BY_FILTER),
    row("other", "files", BY_VIEW, BY_FILTER),
    row("none", "files", *[BY_VIEW._replace(state=NO_CONTROL)] * 2, control="openat: No such file"),
)


def text(found: Campaign) -> str:
    return "\n".join(lines(found))


def test_what_is_held_in_the_same_way_is_one_line() -> None:
    said = text(ALL_HELD).split("\n")
    (one,) = (line for line in said if line.startswith("  one "))
    assert one.split() == ["one", "held", "mount", "SIGKILL", "(syscalls)", "every", "policy"]
    at = next(n for n, line in enumerate(said) if line.startswith("  other "))
    assert said[at].split()[-2:] == ["(view)", "native"]
    assert said[at + 1].split() == ["held", "mount", "SIGKILL", "(syscalls)", "strict"]


def test_what_does_not_work_here_says_why_and_is_not_counted() -> None:
    said = text(ALL_HELD)
    assert "no control here: openat: No such file" in said
    sums = {line.split()[0]: line.split()[1:] for line in said.split("\n") if "/" in line}
    assert sums == {"files": ["1/1"] * 2, "mounts": ["1/1"] * 2, "all": ["2/2"] * 2}
    assert said.endswith("3 attacks, 2 of which work on this host without a sandbox; "
                         "each of those was held")  # fmt: skip


@pytest.mark.parametrize("state", [ESCAPED, ODD])
def test_what_is_not_held_is_told_and_counted_as_such(state: str) -> None:
    found = campaign(row("one", "mounts", BY_FILTER, Outcome(state, "every call succeeded")))
    assert not is_held(found)
    assert state in text(found) and "not everything was held" in text(found)
    assert document(found)["sums"]["mounts"]["strict"] == {"held": 0, "works": 1}


def test_an_escape_without_a_control_is_an_escape() -> None:
    out = Outcome(ESCAPED, "every call succeeded")
    found = campaign(row("one", "mounts", BY_FILTER, out, control="mount: refused"))
    assert not is_held(found) and ESCAPED in text(found)


def test_damage_is_an_escape_whatever_the_attacks_say() -> None:
    found = campaign(row("one", "mounts", BY_FILTER, BY_FILTER), damage=("secret is b'x'",))
    assert not is_held(found)
    assert "ESCAPED under strict: secret is b'x'" in text(found)


def test_the_document_has_it_all() -> None:
    found = json.loads(json.dumps(document(ALL_HELD)))
    assert found["ok"] is True
    one = found["attacks"][1]
    assert (one["name"], one["class"], one["does"]) == ("other", "files", "Does it.")
    assert one["held_by"] == ["openat ENOENT (view)"]
    assert one["outcomes"]["native"] == BY_VIEW._asdict()


def test_the_exit_code_says_whether_all_was_held(monkeypatch: pytest.MonkeyPatch) -> None:
    for found, code in ((ALL_HELD, 0), (campaign(row("one", "x", BY_VIEW, BY_VIEW),
                                                 damage=("victim",)), 1)):  # fmt: skip
        monkeypatch.setattr(report, "run_campaign", lambda *_, found=found: found)
        assert report.main(None, json=False) == code
        assert report.main("strict", json=True) == code


def doctor(*arguments: str) -> subprocess.CompletedProcess[Any]:
    command = [sys.executable, "-m", "sandbox", "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def test_the_command_attacks_one_policy() -> None:
    done = doctor("--attack", "--policy", "strict", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"]) == (0, True), done.stderr
    assert {policy for attack in found["attacks"] for policy in attack["outcomes"]} == {"strict"}


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--policy", "strict"], "--policy"), (["--attack", "--policy", "strickt"], "strict")],
)
def test_a_policy_that_cannot_be_meant_is_refused_at_once(words: list[str], said: str) -> None:
    done = doctor(*words)
    assert (done.returncode, done.stdout) == (125, "")
    assert said in done.stderr
