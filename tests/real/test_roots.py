"""Roots other than the host's: a directory, and a root that the job may write."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from containment.walls import ALLOW_ALL, attack

BUSYBOX = Path("/bin/busybox")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An unpacked root with nothing in it but busybox, and a link that leads out."""
    if not BUSYBOX.exists():
        pytest.skip("no busybox-static on this host")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    root = tmp_path / "root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "work").symlink_to("/proc")
    return root


def test_a_directory_is_the_root(root: Path, run_sandbox: Callable, leftovers: None) -> None:
    outcome = run_sandbox("--root", root, "--", "/bin/busybox", "ls", "/")
    assert outcome.returncode == 0, outcome
    assert outcome.stdout.decode().split() == ["bin", "dev", "proc", "tmp", "work"]


def test_a_link_of_the_root_leads_nowhere(root: Path, run_sandbox: Callable) -> None:
    outcome = run_sandbox("--root", root, "--", "/bin/busybox", "sh", "-c", "pwd; ls; echo x > y")
    assert (outcome.returncode, outcome.stdout) == (0, b"/work\n"), outcome


def test_a_bind_cannot_go_through_a_link_of_the_root(
    root: Path, run_sandbox: Callable, tmp_path: Path
) -> None:
    (root / "data").symlink_to("/etc")
    outcome = run_sandbox(
        "--root", root, "--ro", f"{tmp_path}:/data/x", "--", "/bin/busybox", "true"
    )
    assert outcome.returncode in (0, 125), outcome  # our layer's own directory, or refused
    assert not Path("/etc/x").exists()


WRITABLE = ALLOW_ALL._replace(root="writable")


def test_a_writable_root_is_the_jobs_own(tmp_path: Path, leftovers: None) -> None:
    program = (
        "import os, shutil\n"
        "os.mkdir('/made'); open('/made/file', 'w').write('x')\n"
        "shutil.rmtree('/made')\n"
        "os.mkdir('/made')\n"
        "print(sorted(os.listdir('/made')))"
    )
    result, output = attack(program, tmp_path, policy=WRITABLE)
    assert (result.verdict, output) == ("exited", "[]\n"), output
    assert not Path("/made").exists()
    _, output = attack("import os; print(os.path.exists('/made'))", tmp_path, policy=WRITABLE)
    assert output == "False\n", "and not the next job's"


def test_a_writable_root_counts_into_the_disk_limit(tmp_path: Path) -> None:
    program = "open('/fill', 'wb').write(bytes(16 << 20))"
    result, output = attack(program, tmp_path, policy=WRITABLE)
    assert result.verdict == "disk", output


def test_without_that_policy_the_root_is_read_only(tmp_path: Path) -> None:
    result, output = attack("import os; os.mkdir('/made')", tmp_path)
    assert result.exit_code == 1 and "Read-only file system" in output
