"""Writes docs/hosts.md from what is found: `PYTHONPATH=.:tests python -m hosts.document`.

As an ordinary user it visits the hosts that a user can make, as root all of them; a host that
cannot be made here stays as it was last found. `--only NAME…` visits those alone.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hosts import by_root, by_user, in_guests, unmade
from hosts.cell import Cell
from hosts.found import Found, summary
from hosts.visit import CHECKOUT, HERE, missing, visit

__all__ = ["DOCUMENT", "last_found", "render"]

DOCUMENT = CHECKOUT / "docs/hosts.md"
_FOUND = HERE / "found.json"
_GROUPS = (
    ("As an ordinary user finds them", by_user.CELLS),
    ("As root makes them", by_root.CELLS),
    ("Other kernels, in guests", in_guests.CELLS),
)
_INTRODUCTION = """\
# Kinds of host

What jobs get on each kind of host, and what `sandbox doctor` says where something is missing. Every
row was found by making such a host and running the doctor and some jobs in it: a default job, one
over its memory limit, one over its process limit, and, where default jobs are refused, one with
`--allow-degraded`. `tests/hosts` makes the hosts and compares; this page is written by

    PYTHONPATH=.:tests python -m hosts.document     # as root: guests and namespaces, some minutes

A wall that is *missing* ends every job before its first instruction; one that is *weak* lets
default jobs run, and the doctor says what they do without. Jobs over a limit ended with that
verdict wherever the grade is `kernel`. `sandbox doctor --fix` prints the fixes as a script for
root, each with what it costs.
"""


def main() -> None:
    """Visit what can be made, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME")
    only = parser.parse_args().only
    new: dict[str, Found] = {}
    for _, cells in _GROUPS:
        chosen = [cell for cell in cells if not only or cell.name in only]
        for cell in chosen:
            if why := missing(cell):
                print(f"{cell.name}: as last found; {why}")
        made = [cell for cell in chosen if not missing(cell)]
        for name, examined in _visits(made):
            new[name] = summary(examined)
            print(f"{name}: {new[name].default}", flush=True)
    rows = {**last_found(), **new}
    known = {cell.name: rows[cell.name] for cell in _all() if cell.name in rows}
    text = json.dumps({name: found._asdict() for name, found in known.items()}, indent=1)
    _FOUND.write_text(f"{text}\n")
    DOCUMENT.write_text(render(known))


def last_found() -> dict[str, Found]:
    """What the document was written from, by the names of the cells."""
    if not _FOUND.exists():
        return {}
    return {name: Found(**row) for name, row in json.loads(_FOUND.read_text()).items()}


def render(rows: Mapping[str, Found]) -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for title, cells in _GROUPS:
        found = [(cell, rows[cell.name]) for cell in cells if cell.name in rows]
        where = "; ".join(dict.fromkeys(f"Linux {r.kernel}, {r.place}" for _, r in found))
        parts.append(f"## {title}\n\nLast found under {where}.\n\n{_table(found)}")
        told = "\n".join(_told(cell, row) for cell, row in found if row.fixes)
        parts.append(f"What is told there:\n\n{told}\n")
    parts.append(unmade.TEXT)
    return "\n".join(parts)


def _visits(cells: Iterable[Cell]) -> Iterable[tuple[str, dict[str, Any]]]:
    outside = [cell for cell in cells if not cell.guest]
    yield from ((cell.name, visit(cell)) for cell in outside)
    yield from in_guests.visits([cell for cell in cells if cell.guest])


def _all() -> list[Cell]:
    return [cell for _, cells in _GROUPS for cell in cells]


def _table(found: Iterable[tuple[Cell, Found]]) -> str:
    lines = [
        "| host | default jobs | `--allow-degraded` | walls that are not up | "
        "memory, processes, CPU rate |",
        "|---|---|---|---|---|",
    ]
    for cell, row in found:
        degraded = {"": "", "runs": "run"}.get(row.degraded, "refused")
        default = "run" if row.default == "runs" else "refused"
        lines.append(
            f"| {cell.host} | {default} | {degraded} | {_walls(row)} | "
            f"{', '.join(row.grades.values())} |"
        )
    return "\n".join(lines) + "\n"


def _walls(row: Found) -> str:
    by_state: dict[str, list[str]] = {}
    for wall, state in row.walls.items():
        by_state.setdefault(state, []).append(wall)
    if len(by_state.get("missing", ())) >= len(_NEED_USERNS):
        rest = [wall for wall in by_state["missing"] if wall not in _NEED_USERNS]
        by_state["missing"] = [f"all that need a user namespace{''.join(f', {w}' for w in rest)}"]
    return "; ".join(f"{', '.join(walls)} {state}" for state, walls in by_state.items())


_NEED_USERNS = (
    "identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "landlock",
    "time",
)  # fmt: skip


def _told(cell: Cell, row: Found) -> str:
    said = "" if row.default == "runs" else f" `{_code(row.default.partition('; fix: ')[0])}`;"
    fixes = "; ".join(_shown(fix) for fix in row.fixes)
    return f"- {cell.host}:{said} fix: {fixes}"


def _shown(fix: str) -> str:
    command = fix.removesuffix(" (as root)")
    return f"`{_code(command)}` (as root)" if command != fix else fix


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())


if __name__ == "__main__":
    main()
