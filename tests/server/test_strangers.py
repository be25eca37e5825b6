"""Who has not said who it is may say that; and who is no local user names nothing of the host."""

from pathlib import Path
from typing import Any

import pytest
import trio
from server.peers import ABSENT, SHA256, TOKENS, Peer, job_of, required, running, with_patience
from server.serving import pass_time, serving
from trio.testing import MockClock

from sandbox.server import listen
from sandbox.server.method import METHODS
from sandbox.wire.framing import FRAME_BYTES, STRANGER_FRAME_BYTES
from sandbox.wire.messages import Request


def test_a_stranger_may_say_who_it_is_and_nothing_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer(strange=True)
            for method in METHODS:
                if method != "server.hello":
                    error = await peer.refused(method, required(METHODS[method]))
                    assert (error["code"], "server.hello" in error["message"]) == ("refused", True)
            assert (await peer.refused("server.hello"))["code"] == "refused"
            assert (await peer.refused("server.hello", token="wrong"))["code"] == "refused"
            assert (await peer.refused("server.hello", token="x" * 1000))["code"] == "refused"
            assert len(server.log_lines("stranger_refused")) == 2
            hello = await peer.call("server.hello", token=TOKENS["judge"][0])
            assert (hello["tenant"], hello["is_local"]) == ("judge", False)
            await peer.must_be_well()

    trio.run(main)


def test_a_stranger_has_ten_seconds_whatever_it_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            silent, busy = server.peer(strange=True), server.peer(strange=True)
            known = server.peer(strange=True)
            await known.call("server.hello", token=TOKENS["ci"][0])
            for _ in range(10):
                assert len(server.connections) == 3
                await busy.refused("server.info")
                await pass_time(1)
            for stranger in (silent, busy):
                assert "who is there" in (await stranger.last_word())["message"]
            await known.must_be_well()

    trio.run(main, clock=MockClock())


@pytest.mark.parametrize("who", ["stranger", "tenant"])
def test_a_stranger_has_small_frames(who: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer(strange=True)
            most_bytes = STRANGER_FRAME_BYTES
            if who == "tenant":
                await peer.call("server.hello", token=TOKENS["judge"][0])
                most_bytes = FRAME_BYTES
            frame = b"\x94\x00\x05\xa1x\x91\xc6" + (most_bytes - 11).to_bytes(4, "big")
            await peer.send(frame + bytes(most_bytes - 11))
            assert (await peer.answer(5)).error["code"] in ("unknown_method", "refused")
            await peer.send(b"\x94\x00\x06\xa1x\x91\xc6" + (most_bytes - 10).to_bytes(4, "big"))
            assert f"over {most_bytes} bytes" in (await peer.last_word())["message"]

    trio.run(main)


def test_a_pipelined_hello_lets_larger_frames_follow(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer(strange=True)
            stdin = bytes(100_000)
            await peer.send(
                Request(1, "server.hello", ({"token": TOKENS["ci"][0]},)),
                Request(2, "job.submit", ({"job": job_of("echo"), "stdin": stdin},)),
            )
            assert (await peer.answer(1)).error is None
            job = (await peer.answer(2)).result["job"]
            await peer.call("job.wait", job=job, wait_seconds=60.0)
            read = await peer.call("job.read", job=job, stream="stdout", offset=0,
                                   most_bytes=len(stdin))  # fmt: skip
            assert read["data"] == stdin

    trio.run(main)


def test_strangers_are_few_until_they_say_who_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen, "_MOST_STRANGERS", 3)

    async def main() -> None:
        async with serving(tmp_path) as server:
            unix, tcp = await server.unix(), await server.tcp()
            strangers = [await tcp() for _ in range(3)]
            for peer in strangers:
                await peer.refused("server.info")  # they are in, and stay
            refused = await tcp()
            assert (await refused.last_word())["code"] == "refused"
            await (await unix()).must_be_well()
            await strangers[0].call("server.hello", token=TOKENS["judge"][0])
            await (await tcp()).call("server.hello", token=TOKENS["ci"][0])
            await strangers[1].stream.aclose()
            while server.doors.connections > 4:
                await strangers[0].call("server.info")
            await (await tcp()).call("server.hello", token=TOKENS["ci"][0])
            await strangers[0].must_be_well()

    trio.run(main)


HOST_PATHS = [
    ("root", {"root": "/"}),
    ("stdin", {"stdin": "/etc/passwd"}),
    ("ro[0]", {"ro": [{"source": "/etc", "destination": "/x"}]}),
    ("copy[0]", {"copy": [{"source": "/etc/passwd", "destination": "/x"}]}),
    ("collect[0]", {"collect": [{"path": "/tmp/x", "destination": "/tmp/y"}]}),
    ("policy", {"policy": "/etc/policy.toml"}),
]


@pytest.mark.parametrize(("field", "names"), HOST_PATHS, ids=[field for field, _ in HOST_PATHS])
def test_a_tenant_names_no_path_of_the_host(
    field: str, names: dict[str, Any], tmp_path: Path
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer("judge")
            job = job_of("true", **names)
            error = await peer.refused("job.submit", job=job, durability="memory")
            assert (error["code"], error["field"]) == ("spec", field)
            assert "which only its own user may name" in error["message"]
            jobs = [job_of("true"), job]
            error = await peer.refused("pipeline.submit", jobs=jobs, pipes=[])
            assert "which only its own user may name" in error["message"]
            # The control: the path is the only thing that is wrong with it.
            error = (await server.peer().ask("job.submit", job=job, durability="memory")).error
            assert error is None or "its own user" not in error["message"]

    trio.run(main)


@pytest.mark.parametrize("method", [m.name for m in METHODS.values() if m.is_local])
def test_a_tenant_does_not_rule_the_server(method: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            error = await server.peer("judge").refused(method)
            assert (error["code"], "own user" in error["message"]) == ("refused", True)
            await server.peer().call(method)

    trio.run(main)


def test_what_is_another_tenants_is_absent(tmp_path: Path) -> None:
    """Every method that names a job or blob answers word for word as if there were none."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            owner, other = server.peer("judge"), server.peer("ci")
            job = await owner.submit("hold", stdin_open=True, key="k")
            empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
            await owner.call("blob.put", sha256=empty, bytes=0)
            for method in METHODS.values():
                for name, known, absent in (("job", job, ABSENT), ("sha256", empty, SHA256)):
                    param = method.params.get(name)
                    if param is None or param.kind != "text" or method.name == "blob.put":
                        continue
                    fields = required(method)
                    foreign = await other.refused(method.name, {**fields, name: known})
                    nothing = await other.refused(method.name, {**fields, name: absent})
                    assert foreign["code"] == "not_found", method.name
                    assert foreign["message"].replace(known, absent) == nothing["message"]
            assert (await other.call("job.list"))["jobs"] == ()
            assert (await other.call("job.stats"))["jobs"] == ()
            assert (await other.call("blob.list"))["blobs"] == ()
            assert await other.submit("true", key="k") != job
            blob = {"blob": empty, "destination": "/x"}
            error = await other.refused("job.submit", job=job_of("true", ro=[blob]))
            assert (error["code"], error["field"]) == ("spec", "ro[0].blob")
            assert (await owner.call("job.status", job=job))["state"] == "running"

    trio.run(main)


def test_tenants_over_tcp_run_jobs_apart(tmp_path: Path) -> None:
    tables = (f'[tenants.{name}]\ntokens = ["{known[1]}"]\n' for name, known in TOKENS.items())
    config = tmp_path / "serve.toml"
    config.write_text('[listen]\ntcp = "127.0.0.1:0"\nclear = true\n' + "".join(tables))

    async def main() -> None:
        peers = {}
        for name, (token, _) in TOKENS.items():
            peers[name] = peer = Peer(await trio.open_tcp_stream("127.0.0.1", port))
            assert (await peer.refused("job.list"))["code"] == "refused"
            assert (await peer.call("server.hello", token=token))["tenant"] == name
        judge, ci = peers.values()
        status = await judge.call(
            "job.submit", job=job_of("/bin/echo", "mine"), wait_seconds=60.0, key="k"
        )
        assert status["stdout"]["data"] == b"mine\n"
        assert (await ci.refused("job.status", job=status["job"]))["code"] == "not_found"
        other = await ci.call("job.submit", job=job_of("/bin/true"), wait_seconds=60.0, key="k")
        assert other["job"] != status["job"]
        hostile = Peer(await trio.open_tcp_stream("127.0.0.1", port))
        await hostile.send(b"GET / HTTP/1.1\r\n\r\n")
        assert (await hostile.last_word())["code"] == "protocol"
        await judge.must_be_well()

    with running(tmp_path, "--config", config) as line:
        port = int(line.rpartition("tcp:127.0.0.1:")[2].strip('"\n'))
        with_patience(main)
