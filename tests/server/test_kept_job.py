"""A job as the journal has it, when somebody has changed it: told, not believed."""

from pathlib import Path
from typing import Any

import msgpack
import pytest
from server.journals import job_id

from sandbox.server.journal_store import Entry
from sandbox.server.record import Record
from sandbox.server.submission import Submission
from sandbox.spec.errors import HostError
from sandbox.supervisor.lifecycle import not_started

SUBMISSION = Submission({"command": ("x",)}, False, stdin=b"in")


@pytest.fixture
def entries(tmp_path: Path) -> tuple[Entry, Entry]:
    """One that is queued, and one that is over."""
    queued, over = (Record("alice", job_id(n), SUBMISSION, tmp_path) for n in range(2))
    over.artifacts = {b"/work/out": "artifact-0"}
    over.outputs["stdout"].append(b"told")
    over.finish(not_started(walls={}, grades={}, artifacts={}, identity={}, host={}))
    return queued.entry(), over.entry()


def refusal(entry: Entry) -> str:
    with pytest.raises(HostError) as caught:
        Record.from_entry(entry, Path("/nowhere"))
    return str(caught.value)


def changed(packed: bytes | None, **fields: Any) -> bytes:
    assert packed is not None
    whole = msgpack.unpackb(packed, strict_map_key=False)
    return msgpack.packb({**whole, **fields})


def test_what_was_kept_comes_back(entries: tuple[Entry, Entry]) -> None:
    for entry in entries:
        assert Record.from_entry(entry, Path("/nowhere")).entry() == entry


@pytest.mark.parametrize(
    "columns",
    [
        {"job": "../../etc"}, {"job": ""}, {"job": None}, {"tenant": None}, {"state": "over"},
        {"state": "ended"}, {"runs": -1}, {"runs": "1"}, {"created_at": None},
        {"started_at": b"1"}, {"request": b""}, {"request": b"\x80"}, {"request": b"\xc1"},
        {"request": 1}, {"request": b"\x91" * 5000}, {"outcome": b"\x80"},
    ],
    ids=str,
)  # fmt: skip
def test_a_column_of_something_else_is_told(
    columns: dict[str, Any], entries: tuple[Entry, Entry]
) -> None:
    assert "cannot be read" in refusal(entries[0]._replace(**columns))


@pytest.mark.parametrize(
    "fields",
    [
        {"job": 1}, {"stdin": "text"}, {"key": 1}, {"durability": "stone"}, {"keep": 1},
        {"most_runs": None}, {"queue_seconds": "1"}, {"unknown": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_request_of_something_else_is_told(
    fields: dict[str, Any], entries: tuple[Entry, Entry]
) -> None:
    entry = entries[0]
    assert "fix:" in refusal(entry._replace(request=changed(entry.request, **fields)))


@pytest.mark.parametrize(
    "fields",
    [
        {"result": None}, {"result": []}, {"error": {}}, {"stdout": "text"}, {"unknown": 1},
        {"artifacts": {b"/work/out": "../../../etc/passwd"}}, {"artifacts": {b"/work/out": ".."}},
        {"artifacts": {1: "artifact-0"}}, {"artifacts": []}, {"artifacts": {b"/work/out": 1}},
    ],
    ids=str,
)  # fmt: skip
def test_an_outcome_of_something_else_is_told(
    fields: dict[str, Any], entries: tuple[Entry, Entry]
) -> None:
    entry = entries[1]
    assert "journal" in refusal(entry._replace(outcome=changed(entry.outcome, **fields)))
