"""What root does in a guest: it makes a user, and cgroups in which that user finds itself.

Everything here changes /etc and the cgroup tree, so it is for a guest's throw-away layer only.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sandbox.supervisor.cgroup.files import remove_tree
from tests.conftest import Outcome

PATIENCE_SECONDS = 60
ROOT = Path("/sys/fs/cgroup")
# What is handed over, cgroups(7), "Delegation".
DELEGATED = ("cgroup.procs", "cgroup.subtree_control", "cgroup.threads")


class User(NamedTuple):
    """An ordinary user of the guest, with subordinate ids."""

    name: str
    uid: int
    home: Path

    def own(self, cgroup: Path) -> None:
        """Delegate `cgroup` to the user."""
        for path in (cgroup, *(cgroup / name for name in DELEGATED)):
            os.chown(path, self.uid, self.uid)

    def command(self, cgroup: Path, *command: object, inside: str = "") -> list[str]:
        """`command` as this user in `cgroup`; root runs it by `inside`, see `unshared`."""
        become = f"setpriv --reuid={self.uid} --regid={self.uid} --init-groups"
        environment = f"env HOME={self.home} XDG_RUNTIME_DIR=/nowhere"
        run = f'exec {inside} {environment} {become} "$@"'
        run = f'echo 0 >"$1/cgroup.procs" || exit 99; shift; {run}'
        return ["sh", "-c", run, "sh", str(cgroup), *map(str, command)]

    def sandbox(self, cgroup: Path, *arguments: str, inside: str = "") -> Outcome:
        """`sandbox run ARGUMENTS` as this user in `cgroup`."""
        return self.outcome(lambda words: self.command(cgroup, *words, inside=inside), *arguments)

    def outcome(self, by: Callable[[list[str]], list[str]], *arguments: str) -> Outcome:
        """The same, run by the command that `by` makes of it."""
        report = self.home / "result.json"
        report.unlink(missing_ok=True)
        run = [sys.executable, "-m", "sandbox", "run", f"--json={report}", *arguments]
        done = subprocess.run(by(run), stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
        result = json.loads(report.read_text()) if report.exists() else None
        return Outcome(done.returncode, done.stdout, done.stderr.decode(errors="replace"), result)


def until(condition: Callable[[], object]) -> None:
    """Wait for what nobody tells."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def unshared(options: str, prepare: str) -> str:
    """Shell words that run what follows in namespaces of its own, which root prepares."""
    return f"unshare {options} sh -c '{prepare} || exit 98; exec \"$@\"' sh"


@pytest.fixture(scope="session")
def user() -> User:
    """A user whom nothing is delegated to yet."""
    if not Path("/run/exchange/settings").exists():
        pytest.skip("changes /etc: for the guest's throw-away layer only")
    found = User("delegatee", 4322, Path("/tmp/delegatee"))
    for database, entry in (
        ("passwd", f"{found.name}:x:{found.uid}:{found.uid}::{found.home}:/bin/sh"),
        ("group", f"{found.name}:x:{found.uid}:"),
        ("subuid", f"{found.name}:1610612736:65536"),
        ("subgid", f"{found.name}:1610612736:65536"),
        ("shadow", f"{found.name}:*:1::::::"),
    ):
        with Path("/etc", database).open("a") as lines:
            lines.write(f"{entry}\n")
    found.home.mkdir()
    os.chown(found.home, found.uid, found.uid)
    return found


@pytest.fixture
def cgroups() -> Iterator[Callable[..., Path]]:
    """Make a cgroup of root's, with controllers of its parent for its children's children."""
    made: list[Path] = []

    def make(name: str = "case", *, parent: Path = ROOT, without: str = "") -> Path:
        path = parent / name
        path.mkdir()
        made.insert(0, path)
        present = (path / "cgroup.controllers").read_text().split()
        if parent == ROOT:
            wanted = " ".join(f"+{name}" for name in present if name != without)
            (path / "cgroup.subtree_control").write_text(wanted)
        return path

    yield make
    for path in made:
        remove_tree(str(path))


@pytest.fixture
def delegated(user: User, cgroups: Callable[..., Path]) -> Callable[..., Path]:
    """Make a cgroup that is the user's, below one of root's that has all but one controller."""

    def make(*, without: str = "") -> Path:
        path = cgroups("own", parent=cgroups(without=without))
        user.own(path)
        return path

    return make
