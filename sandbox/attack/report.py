"""`sandbox doctor --attack`: what came of every attack, as a table and as a document."""

from __future__ import annotations

import json as json_format
import os
from collections.abc import Iterator
from typing import Any

from sandbox.attack.campaign import Campaign, Row, run_campaign
from sandbox.attack.judge import ESCAPED, HELD, NO_CONTROL
from sandbox.spec.policy import policy_names

__all__ = ["document", "is_held", "lines", "main"]

_NAME_WIDTH, _STATE_WIDTH, _HOW_WIDTH = 34, 12, 44


def main(policy: str | None, json: bool) -> int:
    """Attack this host's sandboxes as the user who asks, and print what came of it; 0: all held.

    Raises SandboxError: jobs cannot run here, or there is no such policy.
    """
    found = run_campaign(policy_names() if policy is None else (policy,))
    if json:
        print(json_format.dumps(document(found), indent=1))
    else:
        print("\n".join(lines(found)))
    return 0 if is_held(found) else 1


def is_held(found: Campaign) -> bool:
    """Whether nothing got out, and nothing was held by what nobody foresaw."""
    outcomes = [outcome for row in found.rows for outcome in row.outcomes.values()]
    is_whole = not any(found.damage.values())
    return is_whole and all(outcome.state in (HELD, NO_CONTROL) for outcome in outcomes)


def sums(found: Campaign) -> dict[str, dict[str, tuple[int, int]]]:
    """class -> policy -> (attacks held, attacks whose control succeeded in this run)."""
    counted: dict[str, dict[str, tuple[int, int]]] = {}
    for row in found.rows:
        kind = counted.setdefault(row.attack.kind, dict.fromkeys(found.policies, (0, 0)))
        for policy, outcome in row.outcomes.items():
            held, works = kind[policy]
            kind[policy] = (held + (outcome.state == HELD), works + (outcome.state != NO_CONTROL))
    return counted


def document(found: Campaign) -> dict[str, Any]:
    """All of it, for machines."""
    return {
        "ok": is_held(found),
        "host": {"kernel": os.uname().release, "machine": os.uname().machine, "uid": os.getuid()},
        "sums": {
            kind: {policy: {"held": h, "works": w} for policy, (h, w) in policies.items()}
            for kind, policies in sums(found).items()
        },
        "damage": dict(found.damage),
        "attacks": [
            {
                "name": row.attack.name,
                "class": row.attack.kind,
                "does": row.attack.does,
                "control": row.attack.control,
                "control_fails": row.control,
                "held_by": list(map(str, row.attack.refusals)),
                "outcomes": {p: outcome._asdict() for p, outcome in row.outcomes.items()},
            }
            for row in found.rows
        ],
    }


def lines(found: Campaign) -> Iterator[str]:
    """All of it, for people."""
    kind = ""
    for row in sorted(found.rows, key=lambda row: row.attack.kind):
        if row.attack.kind != kind:
            kind = row.attack.kind
            yield f"{kind}"
        yield from _row_lines(row, len(found.policies))
    yield ""
    yield from _sum_lines(found)
    for policy, damaged in found.damage.items():
        for what in damaged:
            yield f"{ESCAPED} under {policy}: {what}"
    works = sum(not row.control for row in found.rows)
    yield ""
    yield (
        f"{len(found.rows)} attacks, {works} of which work on this host without a sandbox; "
        + ("each of those was held" if is_held(found) else "not everything was held")
    )


def _row_lines(row: Row, policies: int) -> Iterator[str]:
    name = f"  {row.attack.name:{_NAME_WIDTH}} "
    if row.control and all(o.state == NO_CONTROL for o in row.outcomes.values()):
        yield f"{name}{NO_CONTROL}: {row.control}"
        return
    ways: dict[tuple[str, str], list[str]] = {}
    for policy, outcome in row.outcomes.items():
        how = f"{outcome.how} ({outcome.wall})" if outcome.wall else outcome.how
        ways.setdefault((outcome.state, how), []).append(policy)
    for (state, how), names in ways.items():
        where = "" if policies == 1 else "every policy" if len(ways) == 1 else ", ".join(names)
        yield f"{name}{state:{_STATE_WIDTH}} {how:{_HOW_WIDTH}} {where}".rstrip()
        name = " " * len(name)


def _sum_lines(found: Campaign) -> Iterator[str]:
    """Attacks held of those whose control succeeded."""
    yield f"{'held':14}" + "".join(f"{policy:>10}" for policy in found.policies)
    totals = dict.fromkeys(found.policies, (0, 0))
    for kind, policies in sorted(sums(found).items()):
        yield f"{kind:14}" + "".join(f"{_ratio(pair):>10}" for pair in policies.values())
        for policy, (held, works) in policies.items():
            totals[policy] = (totals[policy][0] + held, totals[policy][1] + works)
    yield f"{'all':14}" + "".join(f"{_ratio(pair):>10}" for pair in totals.values())


def _ratio(pair: tuple[int, int]) -> str:
    return f"{pair[0]}/{pair[1]}"
