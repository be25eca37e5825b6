"""What is copied in: a directory that somebody else has filled, with links out of it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Input, Job
from sandbox.supervisor.files import Files

SECRET = "what the runner may read, and nobody has given to the job"


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout whose author has put links into it."""
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "key").write_text(SECRET)
    workspace = tmp_path / "workspace"
    (workspace / "directory").mkdir(parents=True)
    (workspace / "directory" / "file").write_text("its own\n")
    (workspace / "inner").symlink_to("directory/file")
    (workspace / "outer").symlink_to(tmp_path / "secret")
    (workspace / "relative").symlink_to("../secret")
    (workspace / "elsewhere").symlink_to(tmp_path / "private")
    (workspace / "dangling").symlink_to("nowhere")
    return workspace


def test_a_link_in_a_copied_directory_is_copied_and_not_followed(
    workspace: Path, run_sandbox: Callable, leftovers: None
) -> None:
    script = (
        "cd workspace; cat inner; for name in *; do readlink $name; done; cat outer relative"
        " elsewhere/key"
    )
    outcome = run_sandbox("--copy", workspace, "--", "sh", "-c", script)
    top = workspace.parent
    lines = ["its own", "nowhere", f"{top}/private", "directory/file", f"{top}/secret", "../secret"]
    assert outcome.stdout.decode().splitlines() == lines, outcome.stderr
    assert SECRET not in outcome.stderr
    assert outcome.result["exit_code"] == 1


def test_a_link_that_the_caller_names_is_followed(
    workspace: Path, run_sandbox: Callable, tmp_path: Path
) -> None:
    """Control: the runner may read it, and here was told to."""
    outcome = run_sandbox("--copy", workspace / "outer", "--", "cat", "outer")
    assert outcome.stdout.decode() == SECRET


def test_a_directory_that_becomes_a_link_is_not_followed(workspace: Path) -> None:
    """Between the walk and the copy, by whoever may write there."""
    job = Job((b"true",), inputs=(Input(workspace, b"/work/copy", copied=True),))
    files = Files.open(job)
    (source,) = (one for one in files.sources if one.destination.endswith(b"directory/file"))
    os.close(source.take())  # control: it is there
    (workspace / "directory").rename(workspace / "was")
    (workspace / "directory").symlink_to(workspace.parent / "private")
    (workspace.parent / "private" / "file").write_text(SECRET)
    with pytest.raises(SpecError, match="directory/file"):
        source.take()


def test_a_link_out_of_a_directory_is_not_sent_to_a_server(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sandbox.cli import transfer

    sent = []
    monkeypatch.setattr(transfer, "_upload", lambda link, path, field: sent.append(path) or "0")
    document = {"command": ["true"], "copy": [{"source": os.fsencode(workspace)}]}
    with pytest.raises(SpecError, match="leads out of"):
        transfer.send_inputs(None, document)
    for name in ("outer", "relative", "dangling"):
        (workspace / name).unlink()
    transfer.send_inputs(None, document)
    assert sorted(sent) == [str(workspace / "directory" / "file"), str(workspace / "inner")]
