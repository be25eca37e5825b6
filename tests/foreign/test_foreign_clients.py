"""Clients that others wrote, unchanged, against the real server."""

import hashlib
import os

import pytest
from foreign.clients import CLIENTS, Foreign
from foreign.conversation import Conversation, RefusedCall

EVERY_BYTE = bytes(range(256))
OUTPUT = bytes(range(256)) * 1024
CONCURRENT = [foreign for foreign in CLIENTS if foreign.is_concurrent]
SHOWING_PUSHED = [foreign for foreign in CLIENTS if foreign.shows_pushed]


def text(value):
    """What a client without a type for bytes shows, and what one without a type for text does."""
    return value.decode() if isinstance(value, bytes) else value


def data(value):
    return value.encode() if isinstance(value, str) else value


def test_it_hears_who_is_there(client: Conversation, foreign: Foreign):
    hello = client.call("server.hello")
    assert text(hello["name"]) == "sandbox"
    tenant = "ci" if foreign.is_tcp else f"uid-{os.getuid()}"
    assert (text(hello["tenant"]), hello["is_local"]) == (tenant, not foreign.is_tcp)


def test_it_has_the_result_and_output_of_a_job_in_one_call(client: Conversation):
    job = {"command": ["sh", "-c", "cat; exit 3"], "limits": {"memory": "64MiB", "wall": 20}}
    status = client.call("job.submit", job=job, stdin=EVERY_BYTE, wait_seconds=30)
    assert text(status["state"]) == "ended"
    assert text(status["result"]["verdict"]) == "exited"
    assert status["result"]["exit_code"] == 3
    assert data(status["stdout"]["data"]) == EVERY_BYTE


def test_it_reads_an_output_from_where_it_was(client: Conversation):
    status = client.call("job.submit", job={"command": ["cat"]}, stdin=OUTPUT, wait_seconds=30)
    assert "data" not in status["stdout"], "over inline_bytes, so it is read in pieces"
    read = bytearray()
    while True:
        piece = client.call(
            "job.read", job=text(status["job"]), stream="stdout", offset=len(read),
            most_bytes=100_001, wait_seconds=10,
        )  # fmt: skip
        assert piece["offset"] == len(read)
        read += data(piece["data"])
        if piece["is_end"]:
            break
    assert bytes(read) == OUTPUT


def test_arguments_that_are_no_text_arrive(client: Conversation):
    command = [b"printf", b"%s", b"\xff\xfe"]
    status = client.call("job.submit", job={"command": command}, wait_seconds=30)
    assert data(status["stdout"]["data"]) == b"\xff\xfe"


def test_a_job_that_is_submitted_twice_runs_once(client: Conversation, foreign: Foreign):
    submit = {"job": {"command": ["true"]}, "key": f"twice, {foreign.name}"}
    first = client.call("job.submit", **submit)
    second = client.call("job.submit", **submit, wait_seconds=30)
    assert text(first["job"]) == text(second["job"])
    assert second["runs"] == 1


def test_it_is_told_what_is_wrong(client: Conversation, foreign: Foreign):
    client.call("server.hello", errors="map" if foreign.has_maps_for_errors else "text")
    with pytest.raises(RefusedCall) as wrong:
        client.call("job.submit", job={"comand": ["true"]})
    error = wrong.value.error
    if foreign.has_maps_for_errors:
        assert (text(error["code"]), text(error["field"])) == ("spec", "comand")
        error = error["message"]
    else:
        assert text(error).startswith("spec: ")
    assert "comand: no such key; did you mean command?" in text(error)
    assert client.call("server.hello")["protocol"] == 1, "the connection goes on"


@pytest.mark.parametrize("foreign", CONCURRENT, ids=str, indirect=True)
def test_a_quick_call_overtakes_a_slow_one(client: Conversation):
    status = client.call("job.submit", job={"command": ["cat"]}, stdin_open=True)
    slow = client.begin("job.wait", job=text(status["job"]), wait_seconds=50)
    client.call("server.info")
    client.call("job.write", job=text(status["job"]), data=EVERY_BYTE, end=True)
    assert data(client.finish(slow)["stdout"]["data"]) == EVERY_BYTE


def test_a_blob_becomes_a_file_and_an_artifact_comes_back(client: Conversation, foreign: Foreign):
    content = foreign.name.encode() + EVERY_BYTE
    blob = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    half = len(content) // 2
    progress = client.call("blob.put", **blob, offset=0, data=content[:half])
    assert (progress["offset"], progress["is_complete"]) == (half, False)
    assert client.call("blob.put", **blob, offset=half, data=content[half:])["is_complete"]
    job = {
        "command": ["cp", "in", "out"],
        "ro": [{"blob": blob["sha256"], "destination": "in"}],
        "collect": [{"path": "out"}],
    }
    status = client.call("job.submit", job=job, wait_seconds=30)
    assert status["artifacts"]["/work/out"]["bytes"] == len(content)
    piece = client.call("job.read_artifact", job=text(status["job"]), path="/work/out", offset=0)
    assert (data(piece["data"]), piece["is_end"]) == (content, True)


@pytest.mark.parametrize("foreign", SHOWING_PUSHED, ids=str, indirect=True)
def test_it_has_an_output_pushed(client: Conversation):
    status = client.call("job.submit", job={"command": ["cat"]}, stdin=EVERY_BYTE)
    opened = client.call(
        "stream.open", job=status["job"], stream="stdout", offset=0, credit_bytes=100
    )
    (first,) = client.pushed("stream.data")
    assert first == {"subscription": opened["subscription"], "offset": 0, "data": EVERY_BYTE[:100]}
    client.call("stream.grant", subscription=opened["subscription"], credit_bytes=1000)
    (second,) = client.pushed("stream.data")
    assert (second["offset"], second["data"]) == (100, EVERY_BYTE[100:])
    (end,) = client.pushed("stream.end")
    assert end == {"subscription": opened["subscription"], "offset": 256}


def test_ci_hears_clients_of_two_languages_at_least():
    if "CI" not in os.environ:
        pytest.skip("elsewhere a client may be missing")
    present = {foreign.name for foreign in CLIENTS if foreign.why_absent() is None}
    assert {"pynvim", "node-neovim"} <= present
