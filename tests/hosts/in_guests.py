"""Hosts with another kernel, or with systemd: guests in which root makes them."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from hosts.cell import GUEST, ROOT, Cell
from hosts.visit import CHECKOUT, HERE, ordinary_user, visit

__all__ = ["CELLS", "UML", "visits"]

UML = ("--kernel=uml",)
_QEMU = ("--kernel=qemu", "--memory=2048")
_TIMEOUT_SECONDS = 900
# As an administrator does it where no systemd is: setup, and each session put there by root.
_PREPARED = (
    "{python} -B -m sandbox setup --user {user} >/dev/null\n"
    "echo $$ > /sys/fs/cgroup/sandbox/{uid}/entry/cgroup.procs\n"
)

CELLS: tuple[Cell, ...] = (
    Cell(
        "uml", "user-mode Linux 6.1, cgroup v2 without systemd, prepared by `sandbox setup`",
        GUEST, guest=UML, prepare=_PREPARED, walls={"landlock": "weak", "time": "weak"},
    ),
    Cell(
        "uml-not-prepared", "the same, not prepared", GUEST, guest=UML,
        runs=False, walls={"landlock": "weak", "time": "weak", "quotas": "missing"},
        says="no cgroup v2 subtree", fix="sandbox setup --user",
    ),
)  # fmt: skip


def visits(cells: Iterable[Cell]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One guest for all cells that want the same, each visited in it by root, in their order."""
    by_guest: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        by_guest.setdefault(cell.guest, []).append(cell.name)
    for options, names in by_guest.items():
        yield from _boot(options, names).items()


def _boot(options: tuple[str, ...], names: list[str]) -> dict[str, dict[str, Any]]:
    command = [
        sys.executable, "-B", str(CHECKOUT / "tests/guest/guest"), f"--timeout={_TIMEOUT_SECONDS}",
        *options, "--user=0", "--", "env", f"PYTHONPATH={CHECKOUT}:{HERE.parent}",
        f"HOSTS_USER={ordinary_user().pw_name}", sys.executable, "-B", "-m", "hosts.in_guests",
        *names,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, errors="replace")
    found: dict[str, dict[str, Any]] = {}
    for line in ended.stdout.splitlines():
        name, _, document = line.partition("\t")
        if name in names:
            found[name] = json.loads(document)
    assert len(found) == len(names), f"{names}: {ended.stdout}{ended.stderr}"
    return found


def _inside(names: list[str]) -> None:
    by_name = {cell.name: cell for cell in CELLS}
    for name in names:
        examined = visit(by_name[name]._replace(by=ROOT, guest=()))
        print(f"{name}\t{json.dumps(examined)}", flush=True)


if __name__ == "__main__":
    _inside(sys.argv[1:])
