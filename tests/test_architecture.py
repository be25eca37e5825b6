"""The import table: which room may import which. Every import statement is read, lazy ones too."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sandbox

ROOT = Path(__file__).resolve().parents[1] / "sandbox"

# room -> the rooms that it may import beside itself. DESIGN: imports go one way.
MAY_IMPORT = {
    "spec": set(),
    "wire": {"spec"},
    "kernel": set(),
    "boundary": set(),
    "inside": {"boundary", "kernel"},
    "zygote": {"boundary", "kernel"},
    "keeper": {"boundary", "kernel", "zygote"},
    "supervisor": {"spec", "boundary", "inside", "kernel"},
    "attack": {"spec", "boundary", "inside", "supervisor"},
    "judge": {"spec", *sandbox.__all__},  # as a program of somebody else's
    "server": {"spec", "wire", "supervisor"},
    "client": {"spec", "wire"},
    "cli": {"spec", "wire", "client"},
}
# Without a service, one module of the CLI brings up a supervisor in its own process, and what
# attacks it; another is how the service is started.
# A lookout is asked rarely what threads wait for, and loads only then what reads that.
EXCEPTIONS = {
    ("cli/inprocess.py", "supervisor"), ("cli/inprocess.py", "attack"),
    ("cli/serve.py", "server"), ("cli/serve.py", "judge"), ("cli/judge.py", "judge"),
    ("keeper/lookout.py", "supervisor"),
}  # fmt: skip
# A part of a room that is a layer above more than the rest of it: the judge's methods, which a
# service is given at its start.
MAY_IMPORT_TOO = {"judge/service": {"server", "wire"}}
# What the trusted rooms may import beyond the rooms: built in, or small.
TRUSTED_LIBRARY = {
    "__future__", "_collections", "_signal", "_socket", "ctypes", "errno", "fcntl", "gc",
    "marshal", "os", "select", "stat", "struct", "sys",
}  # fmt: skip
# Rooms small enough to be read in an evening: lines, blank ones and comments counted.
MOST_LINES = {"kernel": 430, "boundary": 400, "inside": 1105, "zygote": 580, "keeper": 220}


def imports(path: Path, *, for_types: bool = True) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    skipped = set()
    if not for_types:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped.update(inner for part in node.body for inner in ast.walk(part))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides its room"
            yield node.module or ""
            if node.module in ("sandbox", "sandbox.supervisor"):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> list[Path]:
    return sorted(path for path in ROOT.rglob("*.py") if path.parent != ROOT)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_what_the_table_allows(path: Path) -> None:
    relative = path.relative_to(ROOT)
    room = relative.parts[0]
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "sandbox" and len(parts) > 1:
            target = parts[1]
            more = MAY_IMPORT_TOO.get("/".join(relative.parts[:2]), set())
            named = target in MAY_IMPORT[room] | {room} | more
            allowed = named or (str(relative), target) in EXCEPTIONS
            assert allowed, f"{relative} imports {name}: {room} may not import {target}"


@pytest.mark.parametrize(
    "path",
    [p for p in modules() if p.relative_to(ROOT).parts[0] in MOST_LINES],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_a_trusted_room_imports_only_what_it_runs(path: Path) -> None:
    outside = {name.split(".")[0] for name in imports(path, for_types=False)} - {"sandbox"}
    assert outside <= TRUSTED_LIBRARY, f"{path} imports {outside - TRUSTED_LIBRARY}"


def test_one_module_knows_libseccomp() -> None:
    users = [p for p in ROOT.rglob("*.py") if any("pyseccomp" in name for name in imports(p))]
    assert [str(path.relative_to(ROOT)) for path in users] == ["supervisor/seccomp.py"]


@pytest.mark.parametrize("room", MOST_LINES)
def test_a_trusted_room_stays_small(room: str) -> None:
    lines = sum(len(path.read_text().splitlines()) for path in (ROOT / room).rglob("*.py"))
    assert lines <= MOST_LINES[room], f"{room} has {lines} lines"


def test_a_keeper_and_its_zygotes_load_nothing_that_they_do_not_run() -> None:
    """Each megabyte more would be copied and freed again by both processes of every sandbox."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT.parent)!r}); before = set(sys.modules)\n"
        "import sandbox.keeper.keeper; print(*sorted(set(sys.modules) - before))"
    )
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    ours = {name for name in found if name.split(".")[0] == "sandbox"}
    assert {name.split(".")[1] for name in ours if "." in name} == {
        *("boundary", "keeper", "kernel", "zygote")
    }
    library = TRUSTED_LIBRARY | {
        *("_collections_abc", "_ctypes", "_stat", "_struct", "ctypes._endian", "genericpath"),
        *("os.path", "posixpath", "types"),  # what those import
    }
    assert set(found) - ours <= library
