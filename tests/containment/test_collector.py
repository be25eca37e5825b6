"""What a job leaves where an artifact is expected: the collector takes regular files, no more."""

from pathlib import Path

import pytest
from containment.walls import attack

from sandbox.spec.job import Artifact

SECRET = "/etc/passwd"
ARTIFACT = b"/work/out"

# program -> the errno text that the Result must give
TRAPS = {
    f"os.symlink('{SECRET}', 'out')": "Too many levels of symbolic links",
    "os.symlink('/proc/1/root', 'out')": "Too many levels of symbolic links",
    "os.mkfifo('out')": "Invalid argument",
    "os.mkdir('out')": "Is a directory",
    "__import__('socket').socket(1).bind('out')": "No such device or address",
    "pass": "No such file or directory",
    "open('out', 'w').close(); os.chmod('out', 0)": "Permission denied",
    "os.truncate(os.open('out', 66), 1 << 40)": "File too large",
}


def collected(program: str, tmp_path: Path) -> tuple[str, Path]:
    destination = tmp_path / "artifact"
    result, output = attack(
        f"import os\n{program}", tmp_path, artifacts=(Artifact(ARTIFACT, destination),)
    )
    assert result.verdict == "exited" and result.exit_code == 0, output
    return result.artifacts[ARTIFACT.decode()], destination


@pytest.mark.parametrize("program", TRAPS)
def test_the_collector_refuses_what_is_no_regular_file(program: str, tmp_path: Path) -> None:
    outcome, destination = collected(program, tmp_path)
    assert outcome == f"not collected: {TRAPS[program]}"
    assert not destination.exists()


def test_a_link_in_the_middle_of_a_path_is_refused(tmp_path: Path) -> None:
    destination = tmp_path / "artifact"
    result, _ = attack(
        "import os; os.symlink('/etc', 'dir')",
        tmp_path,
        artifacts=(Artifact(b"/work/dir/passwd", destination),),
    )
    assert "Too many levels" in result.artifacts["/work/dir/passwd"]
    assert not destination.exists()


def test_an_artifact_arrives_whole(tmp_path: Path) -> None:
    # The control of all the above, larger than a pipe and with every byte value.
    outcome, destination = collected("open('out', 'wb').write(bytes(range(256)) * 4096)", tmp_path)
    assert outcome == "collected 1048576 bytes"
    assert destination.read_bytes() == bytes(range(256)) * 4096


def test_an_artifact_of_a_killed_job_is_collected(tmp_path: Path) -> None:
    destination = tmp_path / "artifact"
    result, _ = attack(
        "import os; open('out', 'w').write('log'); os.kill(os.getpid(), 9)",
        tmp_path,
        artifacts=(Artifact(ARTIFACT, destination),),
    )
    assert (result.verdict, result.signal) == ("signaled", 9)
    assert destination.read_text() == "log"
