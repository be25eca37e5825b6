"""What a server answers is shown on its client's terminal, which obeys some of what it is shown."""

from types import SimpleNamespace

import pytest

from sandbox.cli import jobs, remote, run

NAME = "0\x1b]0;title\x07\x1b[2J\n1"
SHOWN = r"0\x1b]0;title\x07\x1b[2J\n1"


def test_a_job_s_name_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    client = SimpleNamespace(jobs=lambda: [SimpleNamespace(job=NAME, state="queued")])
    jobs._ps(client, (), {"--quiet": None})
    assert capsys.readouterr().out == f"{SHOWN}\n"


def test_the_name_of_a_detached_job_is_shown_and_not_obeyed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_find_link", lambda host: object())
    monkeypatch.setattr(remote, "run_detached", lambda *_: NAME)
    assert run.run(["--detach", "--", "true"]) == 0
    assert capsys.readouterr().out == f"{SHOWN}\n"
