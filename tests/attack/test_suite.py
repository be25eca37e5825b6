"""Every attack, really made: under each policy, and with the filter taken away.

`sandbox doctor --attack` runs the same on any host.
"""

import collections
from collections.abc import Iterator

import pytest
from containment.walls import ALLOW_ALL, without_filter

from sandbox.attack.attack import Attack
from sandbox.attack.campaign import Campaign, Row, run_campaign
from sandbox.attack.catalogue import ATTACKS
from sandbox.attack.judge import ESCAPED, HELD, NO_CONTROL
from sandbox.spec.policy import policy_names

ALL = policy_names()
KINDS = sorted({attack.kind for attack in ATTACKS})
# What a host may lack altogether: user namespaces, devices and settings for ordinary users.
MAY_BE_MISSING = {"devices", "settings"}


@pytest.fixture(scope="module")
def found(nothing_kept: None) -> Campaign:
    """All attacks under all policies."""
    return run_campaign(ALL)


@pytest.fixture(scope="module")
def unfiltered(nothing_kept: None) -> Iterator[Campaign]:
    """All attacks with every wall but the filter."""
    policy = ALLOW_ALL._replace(name="all", proc="masked")
    with without_filter():
        yield run_campaign(["all"], load=lambda _: policy)


@pytest.mark.parametrize("policy", ALL)
def test_every_attack_is_held(policy: str, found: Campaign) -> None:
    ways = {
        row.attack.name: row.outcomes[policy]
        for row in found.rows
        if row.outcomes[policy].state not in (HELD, NO_CONTROL)
    }
    assert not ways
    assert not found.damage[policy], "the targets must be as they were, whatever the attacks say"


@pytest.mark.parametrize("kind", KINDS)
def test_attacks_of_each_class_work_without_a_sandbox(kind: str, found: Campaign) -> None:
    rows = [row for row in found.rows if row.attack.kind == kind]
    if kind in MAY_BE_MISSING and all(row.control for row in rows):
        pytest.skip(f"no attack of class {kind} works on this host: {rows[0].control}")
    assert any(not row.control for row in rows), "control: some must work"


def is_filters_alone(attack: Attack) -> bool:
    """Whether no other wall is said to hold it."""
    return not (attack.refusals or attack.verdicts or attack.artifact)


def working(campaign: Campaign) -> Iterator[Row]:
    return (row for row in campaign.rows if not row.control)


def test_without_the_filter_the_other_walls_hold_what_they_are_said_to(
    unfiltered: Campaign,
) -> None:
    wrong = {
        row.attack.name: outcome
        for row in working(unfiltered)
        if not is_filters_alone(row.attack)
        for outcome in row.outcomes.values()
        if outcome.state != HELD or outcome.wall == "syscalls"
    }
    assert not wrong


def test_without_the_filter_what_it_alone_holds_gets_through(unfiltered: Campaign) -> None:
    held = {
        row.attack.name: outcome
        for row in working(unfiltered)
        if is_filters_alone(row.attack) and row.attack.kind != "abi"
        for outcome in row.outcomes.values()
        if outcome.state != ESCAPED
    }
    assert not held, "control: no other wall must be in its way, or it is to be named"


def test_every_attack_has_a_name_of_its_own_and_says_what_it_does() -> None:
    names = collections.Counter(attack.name for attack in ATTACKS)
    assert max(names.values()) == 1
    assert all(attack.does.endswith((".", ").")) for attack in ATTACKS)
