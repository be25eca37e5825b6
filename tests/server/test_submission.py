"""What is submitted, kept in the journal and read again."""

from pathlib import Path

import msgpack
import pytest
from server.daemon import Daemon, command

from sandbox.server.record import Record
from sandbox.server.submission import Submission
from sandbox.wire.errors import InvalidParamsError
from sandbox.wire.framing import Decoder

OLD_RAW = {"use_bin_type": False}  # a client from before bin and str were told apart


@pytest.mark.parametrize("options", [{}, OLD_RAW], ids=["bin", "raw"])
def test_what_is_no_text_is_kept_as_it_was_sent(options):
    sent = {"job": {"command": [b"echo", b"\xff\xfe"], "env": {b"\xff": b"\xfe"}}}
    decoder = Decoder()
    decoder.feed(msgpack.packb([0, 1, "job.submit", [sent]], **options))
    received = decoder.next_message().params[0]["job"]
    submission = Submission(received, is_local=False)
    assert Submission.unpack(submission.pack()) == submission


def test_an_artifact_is_named_in_text_unless_it_is_none(tmp_path):
    record = Record("ci", "1", Submission({}, is_local=False), tmp_path)
    record.artifacts = {b"/work/a": "artifact-0", b"/work/\xff": "artifact-1"}
    for name in record.artifacts.values():
        (tmp_path / name).write_bytes(b"12")
    record.publish()
    assert list(record.status()["artifacts"]) == ["/work/a", b"/work/\xff"]


@pytest.mark.usefixtures("leftovers")
def test_a_key_that_is_said_to_be_new_and_is_not_runs_nothing_twice(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path)
    try:
        daemon.start()
        with daemon.client() as client:
            job = client.submit(command("echo first"), key="k", is_new=True, wait_seconds=60)["job"]
            again = client.submit(command("echo first"), key="k", is_new=True)
            assert again["job"] == job, "while it is remembered, it is looked up all the same"
        daemon.kill()
        daemon.start()
        with daemon.client() as client:
            with pytest.raises(InvalidParamsError, match=f"job {job} was submitted under k"):
                client.submit(command("echo first"), key="k", is_new=True)
            assert client.submit(command("echo first"), key="k")["job"] == job
            assert [each["job"] for each in client.call("job.list")["jobs"]] == [job]
        assert not daemon.bugs()
    finally:
        daemon.close()
