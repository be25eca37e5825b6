"""Every attack under every policy, each with its control first, in one run on one host."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import trio

from sandbox.attack.attack import Attack
from sandbox.attack.catalogue import ATTACKS
from sandbox.attack.judge import ESCAPED, NO_CONTROL, Outcome
from sandbox.attack.program import Program
from sandbox.attack.runner import Runner
from sandbox.attack.targets import leak_directory, make_targets
from sandbox.spec.policy import Policy, load_policy
from sandbox.supervisor.failures import first_failure
from sandbox.supervisor.startup import runner_ids, start_keeper, take_ground

__all__ = ["Campaign", "Row", "run_campaign"]


class Row(NamedTuple):
    """What came of one attack."""

    attack: Attack
    control: str  # "": it works without a sandbox; else why not
    outcomes: Mapping[str, Outcome]  # policy -> what came of it


class Campaign(NamedTuple):
    """All of it."""

    rows: tuple[Row, ...]
    damage: Mapping[str, list[str]]  # policy -> which targets were not as before
    policies: tuple[str, ...]


def run_campaign(
    policies: Sequence[str],
    attacks: Sequence[Attack] = ATTACKS,
    load: Callable[[str], Policy] = load_policy,
) -> Campaign:
    """Run them as this user; as root: as the id that root's runner drops to, for good.

    Raises SandboxError: jobs cannot be run here, or there is no such policy.
    """
    loaded = {name: load(name) for name in policies}
    with contextlib.ExitStack() as held:
        owner = runner_ids() if os.geteuid() == 0 else None
        directory = held.enter_context(leak_directory(owner))
        keeper = start_keeper()
        held.callback(keeper.close_all)
        ground, files = take_ground(keeper)
        held.callback(ground.close)
        files.close()
        targets = held.enter_context(make_targets(directory))
        programs = [Program(attack, targets) for attack in attacks]
        controls = {program.attack.name: program.control() for program in programs}
        targets.restore()
        outcomes: dict[str, dict[str, Outcome]] = {attack.name: {} for attack in attacks}
        damage: dict[str, list[str]] = {}

        async def main() -> None:
            for policy, rules in loaded.items():
                found = await Runner(ground, rules, targets).run_all(programs)
                damage[policy] = targets.damage()
                targets.restore()
                for name, outcome in found.items():
                    if controls[name] and outcome.state != ESCAPED:
                        outcome = outcome._replace(state=NO_CONTROL)
                    outcomes[name][policy] = outcome

        try:
            trio.run(main)
        except BaseExceptionGroup as group:
            raise first_failure(group) from group
    rows = tuple(Row(attack, controls[attack.name], outcomes[attack.name]) for attack in attacks)
    return Campaign(rows, damage, tuple(policies))
