"""Both clients against `sandbox serve`: whole jobs, and a server that is killed meanwhile."""

from pathlib import Path

import pytest
import trio
from client.conftest import Server

from sandbox.client.aio import AsyncClient
from sandbox.client.replies import Summary
from sandbox.client.sync import Client
from sandbox.spec.errors import ExecError, RefusedError, SpecError
from sandbox.spec.job import job_from_mapping
from sandbox.wire.errors import LostError, NotFoundError

FLOOD = ["sh", "-c", "while :; do echo flood; done"]


def test_a_job_is_run_and_forgotten(server: Server) -> None:
    with Client(server.address) as client:
        done = client.run(["sh", "-c", "cat; echo no >&2; exit 3"], stdin=b"yes")
        assert (done.stdout, done.stderr, done.result.exit_code) == (b"yes", b"no\n", 3)
        assert done.result.grades["memory"] == "kernel"
    assert jobs_of(server) == []


def jobs_of(server: Server) -> list[Summary]:
    with Client(server.address) as client:
        return list(client.jobs())


def test_a_whole_job_is_run(server: Server, tmp_path: Path) -> None:
    job = job_from_mapping({"command": ["sh", "-c", "echo $A"], "env": {"A": "b"}}, tmp_path)
    with Client(server.address) as client:
        assert client.run(job).stdout == b"b\n"


def test_output_and_artifacts_larger_than_a_call_come_whole(server: Server) -> None:
    script = "head -c 3000000 /dev/zero | tee a; head -c 700000 /dev/zero >&2; : > b"
    with Client(server.address) as client:
        done = client.run(["sh", "-c", script], collect=["a", {"path": "b"}])
        assert done.stdout == bytes(3_000_000)
        assert done.stderr == bytes(700_000)
        assert done.artifacts == {"/work/a": bytes(3_000_000), "/work/b": b""}


def test_files_of_the_host_are_named_by_its_own_user(server: Server, tmp_path: Path) -> None:
    (tmp_path / "in").write_text("content")
    with Client(server.address) as client:
        done = client.run(["cp", "in", "out"], ro=[tmp_path / "in"], collect=[f"out={tmp_path}/o"])
    assert (tmp_path / "o").read_text() == "content"
    assert done.artifacts == {}


def test_stdin_larger_than_every_buffer_goes_through(server: Server) -> None:
    data = bytes(range(256)) * 8192
    with Client(server.address) as client:
        assert client.run(["cat"], stdin=data).stdout == data
        job = client.submit(["cat"], stdin_open=True)
        job.write(data)
        job.close_stdin()
        assert b"".join(job.stream()) == data
        job.delete()


def test_what_is_wrong_is_named(server: Server) -> None:
    with Client(server.address) as client:
        with pytest.raises(SpecError, match="polcy: no such key; did you mean policy"):
            client.submit(["true"], polcy="python")
        with pytest.raises(SpecError, match=r"limits\.memory"):
            client.submit(["true"], limits={"memory": "1MB"})
        with pytest.raises(ExecError, match="nope: No such file"):
            client.run(["nope"])
        with pytest.raises(NotFoundError):
            client.job("0" * 22).status()
    assert jobs_of(server) == []


def test_a_running_job_is_seen_signalled_and_cancelled(server: Server) -> None:
    with Client(server.address) as client:
        job = client.submit(["sh", "-c", "trap 'echo got; exit 5' USR1; echo up; cat"],
                            stdin_open=True, label="one")  # fmt: skip
        assert job.read(wait_seconds=30).data == b"up\n"
        assert [one.label for one in client.stats()] == ["one"]
        assert job.stats().state == "running"
        assert [brief.job for brief in client.jobs("running")] == [job.id]
        with pytest.raises(RefusedError, match="has not ended"):
            job.delete()
        job.cancel()
        assert job.result().verdict == "cancelled"
        job.delete()


def test_the_same_key_is_the_same_job(server: Server) -> None:
    with Client(server.address) as client:
        first, second = (client.submit(["true"], key="one") for _ in range(2))
        assert first.id == second.id
        first.result()
        first.delete()


def test_an_attached_job_ends_with_its_client(server: Server) -> None:
    with Client(server.address) as client, Client(server.address) as other:
        job = client.submit(["sleep", "100"], attached=True)
        client.close()
        assert other.job(job.id).result().verdict == "cancelled"
        other.job(job.id).delete()


def test_a_pipeline_is_connected(server: Server) -> None:
    with Client(server.address) as client:
        jobs = client.pipeline([["seq", "4"], ["tac"], ["paste", "-sd+"]])
        assert b"".join(jobs[-1].stream()) == b"4+3+2+1\n"
        for job in jobs:
            assert job.result().verdict == "exited"
            job.delete()


def test_a_blob_is_listed_and_deleted(server: Server) -> None:
    with Client(server.address) as client:
        sha256 = client.blob(b"content of its own")
        assert client.blob_status(sha256).size_bytes == 18
        assert sha256 in [blob.sha256 for blob in client.blobs()]
        client.delete_blob(sha256)
        with pytest.raises(NotFoundError):
            client.blob_status(sha256)


def test_the_server_is_asked_of_itself(server: Server) -> None:
    with Client(server.address) as client:
        assert "default" in client.info()["policies"]
        assert "sandbox" in client.metrics()
        client.reload()


def test_many_tasks_share_a_client(server: Server) -> None:
    async def main() -> list[bytes]:
        found = []
        async with AsyncClient(server.address) as client:

            async def one(number: int) -> None:
                done = await client.run(["cat"], stdin=b"%d" % number, durability="memory")
                found.append(done.stdout)

            async with trio.open_nursery() as nursery:
                for number in range(70):
                    nursery.start_soon(one, number)
        return found

    assert sorted(trio.run(main), key=int) == [b"%d" % number for number in range(70)]
    assert jobs_of(server) == []


def test_a_pushed_stream_slows_its_job_and_loses_nothing(server: Server) -> None:
    async def main() -> None:
        async with AsyncClient(server.address) as client:
            job = await client.submit(["head", "-c", "5000000", "/dev/zero"])
            async with job.stream() as pieces:
                assert sum([len(piece) async for piece in pieces]) == 5_000_000
            assert [piece async for piece in job.stream("stdout", 5_000_000)] == []
            await job.delete()

    trio.run(main)


def test_a_stream_that_is_left_leaves_the_job_and_the_client(server: Server) -> None:
    async def main() -> None:
        async with AsyncClient(server.address) as client:
            job = await client.submit(FLOOD, limits={"output": "1GiB"})
            async for piece in job.stream():
                assert piece.startswith(b"flood\n")
                break
            await job.cancel()
            assert (await job.result()).verdict == "cancelled"
            await job.delete()

    trio.run(main)


def test_a_cancelled_run_cancels_its_job(server: Server) -> None:
    async def main() -> str:
        async with AsyncClient(server.address) as client:
            with trio.move_on_after(0.2):
                await client.run(["sleep", "100"], label="cancelled here")
            async for brief in client.jobs():
                if brief.label == "cancelled here":
                    job = client.job(brief.job)
                    verdict = (await job.result()).verdict
                    await job.delete()
                    return verdict
        raise AssertionError("the job is not there")

    assert trio.run(main) == "cancelled"


def test_a_client_outlives_its_server(own_server: Server) -> None:
    with Client(own_server.address) as client:
        done = client.submit(["echo", "kept"])
        assert done.result().verdict == "exited"
        running = client.submit(["sleep", "100"])
        running.wait(0)
        while running.status().state != "running":
            running.wait(0.05)
        own_server.kill()
        own_server.start()
        assert b"".join(done.stream()) == b"kept\n"
        with pytest.raises(LostError):
            running.result()
        assert client.run(["echo", "again"]).stdout == b"again\n"


def test_a_stream_outlives_its_server_as_far_as_the_job_does(own_server: Server) -> None:
    async def main() -> bytes:
        async with AsyncClient(own_server.address) as client:
            job = await client.submit(["head", "-c", "4000000", "/dev/zero"])
            await job.result()
            data = b""
            async for piece in job.stream():
                if not data:
                    await trio.to_thread.run_sync(own_server.kill)
                    await trio.to_thread.run_sync(own_server.start)
                data += piece
            return data

    assert trio.run(main) == bytes(4_000_000)


def test_a_server_that_drains_ends(own_server: Server) -> None:
    with Client(own_server.address) as client:
        job = client.submit(["sh", "-c", "sleep 0.2; echo done"])
        client.drain(30)
        with pytest.raises(RefusedError):
            client.submit(["true"])
        assert job.result().verdict == "exited"
