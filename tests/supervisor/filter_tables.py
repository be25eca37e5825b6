"""The kept tables of what each filter opens, as text, from the oracle's reading of the policies.

`python tests/supervisor/filter_tables.py` writes them anew; their diff is what a change of a policy
comes to.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from supervisor.oracle import ARCHES, EXPECTED, Meaning, meaning, numbers  # noqa: E402

__all__ = ["KEPT", "POLICIES", "TABLES", "text"]

KEPT = EXPECTED / "filters.txt"
POLICIES = tuple(sorted(path.stem for path in (ROOT / "policies").glob("*.toml")))
TABLES = tuple(sorted(path.stem for path in EXPECTED.glob("*.toml")))

_HEAD = """\
# What each filter does with each system call, on x86-64 and aarch64. Written from what the policies
# say by tests/supervisor/filter_tables.py, and proven of every filter by test_filter_tables.py.
#   allow, kill or an errno   whatever the arguments are
#   ?                         it depends on arguments, as told at the end
#   .                         no rule names it: as (other)
# By a foreign ABI (i386 and x32 on x86-64, 32-bit arm on aarch64) every call kills.
"""


def text() -> str:
    """The tables, one line for each system call, then one for each condition."""
    names = (*POLICIES, *TABLES)
    meanings = {name: meaning(name) for name in names}
    known = sorted({call for arch in ARCHES for call in numbers(arch)})
    rows = [("(other)", *(meanings[name].default for name in names))]
    rows += [(call, *(_cell(meanings[name], call) for name in names)) for call in known]
    lines = [_line(("#", *names)), *map(_line, rows)]
    return "\n".join([_HEAD, *lines, "", *_conditions(known, meanings)]) + "\n"


def _cell(found: Meaning, call: str) -> str:
    return "?" if call in found.cases else found.plain.get(call, ".")


def _line(cells: tuple[str, ...]) -> str:
    first, *rest = cells
    return f"{first:<24}" + "".join(f"{cell:<10}" for cell in rest).rstrip()


def _conditions(known: list[str], meanings: dict[str, Meaning]) -> list[str]:
    lines = []
    for call in known:
        alike: dict[tuple[str, ...], list[str]] = {}
        for name, found in meanings.items():
            if call in found.cases:
                cases = [
                    f"    {case.action:<14}{' and '.join(test.words for test in case.tests)}"
                    for case in found.cases[call]
                ]
                otherwise = found.plain.get(call, found.default)
                alike.setdefault((*cases, f"    {otherwise:<14}otherwise"), []).append(name)
        for cases, names in alike.items():
            lines += ["", f"{call} in {', '.join(names)}", *cases]
    return lines


if __name__ == "__main__":
    KEPT.write_text(text())
