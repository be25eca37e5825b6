"""What is submitted, kept in the journal and read again."""

import msgpack
import pytest

from sandbox.server.record import Record
from sandbox.server.submission import Submission
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
