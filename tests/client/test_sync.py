"""The blocking client against scripted servers: what is lost, late, repeated, or said wrongly."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from client.peer import DROP, SILENCE, Peer, status_of

from sandbox.client import calls
from sandbox.client.errors import DisconnectedError
from sandbox.client.sync import Client
from sandbox.spec.errors import ProtocolError, RefusedError, SandboxError, SpecError
from sandbox.wire.errors import InternalError, NotFoundError
from sandbox.wire.messages import Response, encode

MakePeer = Callable[..., Peer]


class Once:
    """Answers differently the first times."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)

    def __call__(self, dialogue: Any, params: Any) -> Any:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, SandboxError):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SANDBOX_HOST", "SANDBOX_TOKEN", "SANDBOX_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_where_nobody_listens_it_is_said_what_to_do(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            pytest.raises(
                DisconnectedError, match="no server listens there; start `sandbox serve`"
            ),
            Client(f"unix:{tmp_path}/s.sock"),
        ):
            pass
        (tmp_path / "s.sock").touch(exist_ok=True)  # what a server left that was killed


def test_what_a_server_answers_is_raised(make_peer: MakePeer) -> None:
    def refuse(*_: Any) -> Any:
        raise RefusedError("busy: 64 of 64 places taken", 2.5)

    peer = make_peer(job_submit=refuse)
    with Client(peer.address) as client, pytest.raises(RefusedError, match="64 of 64") as caught:
        client.submit(["true"])
    assert caught.value.retry_after_seconds == 2.5
    assert len(peer.calls) == 1


def test_a_submit_whose_connection_is_lost_is_repeated_with_the_same_key(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(job_submit=Once(DROP, DROP, status_of("a")))
    with Client(peer.address) as client:
        assert client.submit(["true"]).id == "a"
    keys = [params["key"] for params in peer.params_of("job.submit")]
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert peer.connections == 3


@pytest.mark.parametrize("options", [{"attached": True}, {"keep": False}])
def test_a_submit_that_might_run_twice_is_not_repeated(
    make_peer: MakePeer, options: dict[str, Any]
) -> None:
    peer = make_peer(job_submit=DROP)
    with Client(peer.address) as client, pytest.raises(DisconnectedError, match="was lost"):
        client.submit(["true"], **options)
    assert len(peer.calls) == 1


def test_a_signal_is_not_sent_twice(make_peer: MakePeer) -> None:
    peer = make_peer(job_signal=DROP)
    with Client(peer.address) as client, pytest.raises(DisconnectedError):
        client.job("a").signal(15)
    assert len(peer.calls) == 1


def test_a_server_that_was_started_anew_is_noticed_before_a_call_is_made(
    make_peer: MakePeer,
) -> None:
    peer = make_peer(job_signal={}, server_info={})
    with Client(peer.address) as client:
        client.info()
        peer.stop()
        peer.start()
        client.job("a").signal(15)
    assert peer.params_of("job.signal") == [{"job": "a", "signal": 15}]


def test_a_server_that_stays_away_is_given_up(make_peer: MakePeer) -> None:
    peer = make_peer(server_info={})
    with Client(peer.address, reconnect_seconds=0.2) as client:
        client.info()
        peer.stop()
        with pytest.raises(DisconnectedError, match="no server listens"):
            client.info()


def test_a_server_that_says_nothing_is_given_up(make_peer: MakePeer) -> None:
    peer = make_peer(server_info=SILENCE)
    with (
        Client(peer.address, answer_seconds=0.05, reconnect_seconds=0) as client,
        pytest.raises(DisconnectedError, match=r"no answer to server\.info for 0\.05 s"),
    ):
        client.info()


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x94\x01\x63\xc0\x01"])
def test_what_is_no_server_of_ours_is_told_and_left(make_peer: MakePeer, data: bytes) -> None:
    def talk(dialogue: Any, _: Any) -> Any:
        dialogue.socket.sendall(data)
        return SILENCE

    peer = make_peer(server_info=talk)
    with Client(peer.address) as client, pytest.raises(ProtocolError):
        client.info()
    assert peer.connections == 1


def test_an_answer_that_is_cut_off_is_a_loss_and_asked_for_again(make_peer: MakePeer) -> None:
    def info(dialogue: Any, _: Any) -> Any:
        if peer.connections > 1:
            return {}
        dialogue.socket.sendall(encode(Response(peer.msgids[-1], None, {"version": "1"}))[:-1])
        return DROP

    peer = make_peer(server_info=info)
    with Client(peer.address) as client:
        assert client.info() == {}


def test_waiting_has_no_end_but_the_callers(make_peer: MakePeer) -> None:
    peer = make_peer(job_wait=Once(status_of("a"), status_of("a"), DROP, status_of("a", "ended")))
    with Client(peer.address) as client:
        assert client.job("a").result().verdict == "exited"
        assert len(peer.calls) == 4
        peer.answers["job.wait"] = lambda *_: status_of("a")
        assert client.job("a").wait(0).state == "running"
    assert len(peer.calls) == 5


def test_the_error_of_a_job_is_raised_by_its_result(make_peer: MakePeer) -> None:
    failed = status_of("a", "failed", error={"code": "internal", "message": "what"})
    peer = make_peer(job_wait=failed, job_status=failed)
    with Client(peer.address) as client:
        assert str(client.job("a").status().error) == "what"
        with pytest.raises(InternalError):
            client.job("a").result()


def test_a_stream_goes_on_where_its_connection_was_lost(make_peer: MakePeer) -> None:
    content = b"0123456789"

    def read(_: Any, params: Any) -> Any:
        offset = params["offset"]
        if offset == 4 and peer.connections == 1:
            return DROP
        piece = content[offset : offset + 4]
        return {"offset": offset, "data": piece, "is_end": offset + len(piece) == len(content)}

    peer = make_peer(job_read=read)
    with Client(peer.address) as client:
        assert list(client.job("a").stream("stderr")) == [b"0123", b"4567", b"89"]
    assert peer.connections == 2
    assert {params["stream"] for _, params in peer.calls} == {"stderr"}


def test_a_piece_from_elsewhere_is_a_protocol_error(make_peer: MakePeer) -> None:
    peer = make_peer(
        job_read={"offset": 3, "data": b"a", "is_end": False},
        job_read_artifact={"offset": 0, "data": b"", "is_end": False},
    )
    with Client(peer.address) as client:
        with pytest.raises(ProtocolError, match="at byte 3, where 0"):
            client.job("a").read()
        with pytest.raises(ProtocolError, match="no byte at 0"):
            list(client.job("a").artifact("/work/a"))


class Stdin:
    """A job's stdin that takes a few bytes at a time."""

    def __init__(self, most_bytes: int) -> None:
        self.taken = b""
        self.is_ended = False
        self.drop_at = -1
        self._most_bytes = most_bytes

    def __call__(self, _: Any, params: Any) -> Any:
        offset = params.get("offset", len(self.taken))
        assert offset <= len(self.taken), "a gap"
        fresh = params["data"][len(self.taken) - offset :]
        self.taken += fresh[: self._most_bytes]
        if params.get("end") and len(fresh) <= self._most_bytes:
            self.is_ended = True
        if 0 <= self.drop_at <= len(self.taken):
            self.drop_at = -1
            return DROP
        return {"offset": len(self.taken)}


def test_writing_goes_on_until_all_is_taken_and_nothing_is_taken_twice(
    make_peer: MakePeer,
) -> None:
    stdin = Stdin(3)
    stdin.drop_at = 6
    peer = make_peer(job_submit=status_of("a"), job_write=stdin)
    with Client(peer.address) as client:
        job = client.submit(["cat"], stdin_open=True)
        job.write(b"0123456789")
        job.write(b"ab")
        assert not stdin.is_ended
        job.close_stdin()
    assert (stdin.taken, stdin.is_ended) == (b"0123456789ab", True)


def test_who_has_not_submitted_a_job_writes_behind_what_is_there(make_peer: MakePeer) -> None:
    stdin = Stdin(100)
    stdin.taken = b"before "
    peer = make_peer(job_write=stdin)
    with Client(peer.address) as client:
        client.job("a").write(b"after")
    assert stdin.taken == b"before after"


class Blobs:
    """Holds blobs, as a server does."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.drops = 0

    def __call__(self, _: Any, params: Any) -> Any:
        have = self.held.get(params["sha256"], b"")
        if params["offset"] == len(have):
            have += params["data"]
            self.held[params["sha256"]] = have
            if params["data"] and self.drops:
                self.drops -= 1
                return DROP
        return {"offset": len(have), "is_complete": len(have) == params["bytes"]}


@pytest.mark.parametrize("as_file", [False, True])
def test_a_blob_is_uploaded_once_and_resumed(
    make_peer: MakePeer, tmp_path: Path, as_file: bool
) -> None:
    content = bytes(range(256)) * 8192 + b"end"
    file = tmp_path / "file"
    file.write_bytes(content)
    blobs = Blobs()
    blobs.drops = 2
    peer = make_peer(blob_put=blobs)
    with Client(peer.address) as client:
        sha256 = client.blob(file if as_file else content)
        assert sha256 == hashlib.sha256(content).hexdigest()
        assert blobs.held[sha256] == content
        sent = sum(len(params["data"]) for _, params in peer.calls)
        assert sent <= len(content) + 2 * calls.CHUNK_BYTES  # the two whose answers were lost
        count = len(peer.calls)
        assert client.blob(content) == sha256
    assert len(peer.calls) == count + 1


def test_a_server_that_takes_nothing_is_left(make_peer: MakePeer) -> None:
    peer = make_peer(blob_put={"offset": 0, "is_complete": False})
    with Client(peer.address) as client, pytest.raises(ProtocolError, match="does not get beyond"):
        client.blob(b"abc")


def test_what_is_no_file_is_no_blob(make_peer: MakePeer, tmp_path: Path) -> None:
    peer = make_peer()
    with Client(peer.address) as client:
        for path, complaint in ((tmp_path, "no regular file"), (tmp_path / "a", "No such file")):
            with pytest.raises(SpecError, match=complaint):
                client.blob(path)
    assert peer.calls == []


def test_a_large_stdin_goes_as_a_blob(make_peer: MakePeer) -> None:
    blobs = Blobs()
    peer = make_peer(blob_put=blobs, job_submit=status_of("a"))
    data = bytes(calls.MOST_STDIN_BYTES + 1)
    with Client(peer.address) as client:
        client.submit(["cat"], stdin=data)
        client.submit(["cat"], stdin=data[1:])
    large, small = peer.params_of("job.submit")
    assert blobs.held[large["job"]["stdin"]["blob"]] == data
    assert "stdin" not in large
    assert small["stdin"] == data[1:]


def test_run_brings_all_that_a_job_leaves_and_has_it_forgotten(make_peer: MakePeer) -> None:
    long = b"x" * 1000
    ended = status_of(
        "a", "ended",
        stdout={"bytes": 1000, "is_complete": True},
        stderr={"bytes": 2, "is_complete": True, "data": b"no"},
        artifacts={"/work/\udcff".encode("utf-8", "surrogateescape"): {"bytes": 5}},
    )  # fmt: skip

    def piece(_: Any, params: Any) -> Any:
        offset = params["offset"]
        return {"offset": offset, "data": long[offset : offset + 600], "is_end": offset == 600}

    def artifact(_: Any, params: Any) -> Any:
        assert params["path"] == b"/work/\xff"
        return {"offset": 0, "data": b"12345", "is_end": True}

    peer = make_peer(
        job_submit=status_of("a"), job_wait=ended, job_read=piece, job_delete={},
        job_read_artifact=artifact,
    )  # fmt: skip
    with Client(peer.address) as client:
        done = client.run(["true"])
        peer.wait_for("job.delete")
    assert (done.result.verdict, done.stdout, done.stderr) == ("exited", long, b"no")
    assert done.artifacts == {"/work/\udcff": b"12345"}


def test_run_keeps_a_job_that_is_to_be_kept(make_peer: MakePeer) -> None:
    peer = make_peer(job_submit=status_of("a"), job_wait=status_of("a", "ended"), server_info={})
    with Client(peer.address) as client:
        client.run(["true"], keep=True)
        client.info()
    assert "job.delete" not in dict(peer.calls)


class Interrupted:
    """Stands for a part of a link whose `call` is interrupted once, as by Ctrl-C."""

    def __init__(self, part: Any, call: str) -> None:
        self._part, self._call = part, call

    def __getattr__(self, name: str) -> Any:
        if name == self._call:
            self._call = ""
            raise KeyboardInterrupt
        return getattr(self._part, name)


def interrupt(client: Client, part: str, call: str, method: str) -> None:
    """Have `call` be interrupted when a reply to `method` is waited for."""
    link: Any = client._link
    ask = link.ask

    def asked(one: calls.Call) -> Any:
        if one.method == method:
            setattr(link, part, Interrupted(getattr(link, part), call))
        return ask(one)

    link.ask = asked


@pytest.mark.parametrize(("part", "call"), [("_poll", "poll"), ("socket", "recv")])
def test_an_interrupt_cancels_what_runs_and_leaves_the_client_usable(
    make_peer: MakePeer, part: str, call: str
) -> None:
    def wait(dialogue: Any, _: Any) -> Any:
        late.append((dialogue, peer.msgids[-1]))
        return SILENCE if call == "poll" else status_of("a")

    def cancel(*_: Any) -> Any:
        if call == "poll":
            dialogue, msgid = late[0]
            dialogue.reply(msgid, status_of("a", "ended"))  # to a call that nobody waits for
        return {}

    late: list[Any] = []
    peer = make_peer(
        job_submit=status_of("a"), job_wait=wait, job_cancel=cancel, server_info={"version": "1"}
    )
    with Client(peer.address) as client:
        interrupt(client, part, call, "job.wait")
        with pytest.raises(KeyboardInterrupt):
            client.run(["sleep", "100"])
        peer.wait_for("job.cancel")
        assert client.info() == {"version": "1"}
    # What is cut short while bytes move cannot be gone on with.
    assert peer.connections == (1 if call == "poll" else 2)


def test_a_submit_that_is_interrupted_is_undone_when_its_answer_comes(make_peer: MakePeer) -> None:
    def submit(dialogue: Any, _: Any) -> Any:
        late.append((dialogue, peer.msgids[-1]))
        return SILENCE

    def info(*_: Any) -> Any:
        dialogue, msgid = late[0]
        dialogue.reply(msgid, status_of("a"))
        return {}

    late: list[Any] = []
    peer = make_peer(job_submit=submit, job_cancel={}, server_info=info)
    with Client(peer.address) as client:
        interrupt(client, "_poll", "poll", "job.submit")
        with pytest.raises(KeyboardInterrupt):
            client.submit(["sleep", "100"])
        peer.wait_for("job.submit")
        client.info()
        peer.wait_for("job.cancel")
    assert peer.params_of("job.cancel") == [{"job": "a"}]


def test_after_a_write_that_was_interrupted_the_server_is_asked_where_it_is(
    make_peer: MakePeer,
) -> None:
    stdin = Stdin(100)
    peer = make_peer(job_submit=status_of("a"), job_write=stdin)
    with Client(peer.address) as client:
        job = client.submit(["cat"], stdin_open=True)
        interrupt(client, "_poll", "poll", "job.write")
        with pytest.raises(KeyboardInterrupt):
            job.write(b"one")
        client.close()
        peer.wait_for("job.write")
        job.write(b"two")
    assert stdin.taken == b"onetwo"


def test_a_second_thread_is_told_and_not_mixed_up(make_peer: MakePeer) -> None:
    asked = threading.Event()
    answer = threading.Event()

    def info(*_: Any) -> Any:
        asked.set()
        answer.wait()
        return {"version": "1"}

    peer = make_peer(server_info=info)
    with Client(peer.address) as client:
        found: list[Any] = []
        other = threading.Thread(target=lambda: found.append(client.info()))
        other.start()
        asked.wait()
        with pytest.raises(RuntimeError, match="another thread"):
            client.info()
        answer.set()
        other.join()
    assert found == [{"version": "1"}]


def test_lists_are_read_page_by_page(make_peer: MakePeer) -> None:
    def page(_: Any, params: Any) -> Any:
        names = sorted(n for n in ("a", "b", "c") if n > params.get("after", ""))[:2]
        return {"jobs": [status_of(name) for name in names]}

    peer = make_peer(job_list=page)
    with Client(peer.address) as client:
        assert [summary.job for summary in client.jobs()] == ["a", "b", "c"]
    assert len(peer.calls) == 3


@pytest.mark.parametrize(
    "reply",
    [
        None,
        [],
        {"job": "a"},
        status_of("a", "ended", result=None),
        status_of("a", "failed"),
        status_of("a", "asleep"),
        status_of("a", stdout={"bytes": -1, "is_complete": False}),
        status_of("a", artifacts={"/a": 5}),
    ],
)
def test_a_reply_that_is_no_status_is_a_protocol_error(make_peer: MakePeer, reply: Any) -> None:
    peer = make_peer(job_status=reply)
    with Client(peer.address) as client, pytest.raises(ProtocolError):
        client.job("a").status()


def test_more_than_we_know_is_ignored(make_peer: MakePeer) -> None:
    peer = make_peer(job_status=status_of("a", shards=3, stdout={
        "bytes": 0, "is_complete": False, "colour": "red"}))  # fmt: skip
    with Client(peer.address) as client:
        assert client.job("a").status().state == "running"


def test_no_such_job_is_said_so(make_peer: MakePeer) -> None:
    def absent(*_: Any) -> Any:
        raise NotFoundError("no job b")

    peer = make_peer(job_status=absent)
    with Client(peer.address) as client, pytest.raises(NotFoundError, match="no job b"):
        client.job("b").status()
