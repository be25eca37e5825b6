"""The blob store: whole blobs or none, each tenant's own, within its quota, gone in the end."""

import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from sandbox.server import blob_file, blob_space, upload
from sandbox.server.blobs import BlobStore, Progress
from sandbox.spec.errors import HostError, RefusedError
from sandbox.wire.errors import InvalidParamsError, NotFoundError

DAY = 86400.0
MIB = 1 << 20
BLOCK = 4096


class Clock:
    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new_store(tmp_path: Path, clock: Clock) -> Iterator[Callable[..., BlobStore]]:
    """Open the one store of this test, as often as it likes: later ones are restarts."""
    stores: list[BlobStore] = []

    def open_store(quota_bytes: int = 16 * MIB) -> BlobStore:
        stores.append(BlobStore(tmp_path / "blobs", lambda _: quota_bytes, DAY, clock=clock))
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()
    assert not list(tmp_path.rglob("*.draft"))


@pytest.fixture
def store(new_store: Callable[..., BlobStore]) -> BlobStore:
    return new_store()


def name_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def run(call: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    return trio.run(lambda: call(*arguments))


def put(store: BlobStore, data: bytes, tenant: str = "a") -> str:
    assert run(store.put, tenant, name_of(data), len(data), 0, data) == (len(data), True)
    return name_of(data)


def path_of(store: BlobStore, sha256: str, tenant: str = "a") -> Path:
    with run(store.hold, tenant, sha256) as hold:
        return hold.path


def test_a_blob_that_came_in_chunks_is_whole_and_can_be_executed(store: BlobStore) -> None:
    data = b"#!/bin/sh\necho from a blob\n"
    sha256 = name_of(data)
    assert run(store.put, "a", sha256, len(data), 0, data[:7]) == Progress(7, False)
    assert store.stat("a", sha256).is_complete is False
    assert run(store.put, "a", sha256, len(data), 7, data[7:]) == Progress(len(data), True)
    path = path_of(store, sha256)
    assert path.read_bytes() == data
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    assert subprocess.run([path], capture_output=True, check=True).stdout == b"from a blob\n"


def test_an_empty_blob_is_a_blob(store: BlobStore) -> None:
    assert path_of(store, put(store, b"")).read_bytes() == b""


@pytest.mark.parametrize("offset", [0, 2, 4, 99])
def test_a_chunk_out_of_order_writes_nothing_and_tells_where_to_go_on(
    store: BlobStore, offset: int
) -> None:
    sha256 = name_of(b"abcdef")
    run(store.put, "a", sha256, 6, 0, b"abc")
    assert run(store.put, "a", sha256, 6, offset, b"xyz") == Progress(3, False)
    assert run(store.put, "a", sha256, 6, 3, b"def") == Progress(6, True)


def test_what_was_never_begun_is_expected_from_its_start(store: BlobStore) -> None:
    assert run(store.put, "a", name_of(b"abc"), 3, 1, b"bc") == Progress(0, False)
    assert store.used_bytes("a") == 0


def test_asking_reserves_nothing_and_knows_what_is_held(store: BlobStore, tmp_path: Path) -> None:
    sha256 = name_of(b"abc")
    assert run(store.put, "a", sha256, 3, 0, b"") == Progress(0, False)
    assert store.total_bytes == 0
    assert not list((tmp_path / "blobs").iterdir())
    put(store, b"abc")
    assert run(store.put, "a", sha256, 3, 0, b"") == Progress(3, True)
    assert store.used_bytes("a") == store.total_bytes == BLOCK


def test_a_wrong_hash_is_told_with_the_last_chunk_and_nothing_stays(
    store: BlobStore, tmp_path: Path
) -> None:
    sha256 = name_of(b"abcdef")
    run(store.put, "a", sha256, 6, 0, b"abc")
    with pytest.raises(InvalidParamsError, match=f"hash to {name_of(b'abcxyz')}") as caught:
        run(store.put, "a", sha256, 6, 3, b"xyz")
    assert caught.value.field == "sha256"
    assert store.used_bytes("a") == 0
    assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    put(store, b"abcdef")


@pytest.mark.parametrize(
    ("size_bytes", "offset", "data", "field"),
    [(6, 3, b"defg", "data"), (7, 3, b"def", "bytes"), (5, 0, b"", "bytes")],
)
def test_chunks_that_contradict_what_was_said_are_errors_and_change_nothing(
    store: BlobStore, size_bytes: int, offset: int, data: bytes, field: str
) -> None:
    sha256 = name_of(b"abcdef")
    run(store.put, "a", sha256, 6, 0, b"abc")
    with pytest.raises(InvalidParamsError) as caught:
        run(store.put, "a", sha256, size_bytes, offset, data)
    assert caught.value.field == field
    assert run(store.put, "a", sha256, 6, 3, b"def") == Progress(6, True)
    with pytest.raises(InvalidParamsError, match="this blob has 6"):
        run(store.put, "a", sha256, 7, 0, b"")


HOSTILE = [
    "", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n", "a" * 63 + "\0",
    "a" * 63 + "/", "\N{ARABIC-INDIC DIGIT ONE}" * 64, "/etc/passwd", ".", b"a" * 64, None, 1,
]  # fmt: skip


@pytest.mark.parametrize("sha256", HOSTILE)
def test_a_hash_that_is_none_never_gets_near_a_path(store: BlobStore, sha256: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: run(store.put, "a", sha256, 1, 0, b"x"),
        lambda: run(store.hold, "a", sha256),
        lambda: run(store.delete, "a", sha256),
        lambda: store.stat("a", sha256),
    ]
    for call in calls:
        with pytest.raises(InvalidParamsError) as caught:
            call()
        assert caught.value.field == "sha256"


def refusals(store: BlobStore, tenant: str, sha256: str) -> list[str]:
    calls: list[Callable[[], object]] = [
        lambda: run(store.hold, tenant, sha256),
        lambda: run(store.delete, tenant, sha256),
        lambda: store.stat(tenant, sha256),
    ]
    messages = []
    for call in calls:
        with pytest.raises(NotFoundError) as caught:
            call()
        messages.append(str(caught.value).replace(sha256, "NAME"))
    return messages


@pytest.mark.parametrize("tenant", ["b", "../a", "/", "a\0", "", "\udcff", "x" * 5000])
def test_a_tenant_finds_nothing_of_another_and_its_name_is_no_path(
    store: BlobStore, tmp_path: Path, tenant: str
) -> None:
    sha256 = put(store, b"abc")
    foreign, absent = refusals(store, tenant, sha256), refusals(store, tenant, "0" * 64)
    assert foreign == absent
    assert store.list(tenant) == []
    assert run(store.put, tenant, sha256, 3, 0, b"") == Progress(0, False)
    put(store, b"abc", tenant)
    assert len(list((tmp_path / "blobs").iterdir())) == 2
    assert path_of(store, sha256) != path_of(store, sha256, tenant)


def test_the_whole_size_is_reserved_with_the_first_chunk(new_store: Callable[..., Any]) -> None:
    store = new_store(quota_bytes=MIB)
    run(store.put, "a", name_of(b"1"), MIB - BLOCK, 0, b"x")
    put(store, b"small")
    with pytest.raises(RefusedError, match=r"a blob of 1 bytes does not fit: 1MiB of 1MiB"):
        run(store.put, "a", name_of(b"2"), 1, 0, b"2")
    put(store, b"2", "b")
    run(store.delete, "a", name_of(b"1"))
    put(store, b"2")


def test_concurrent_uploads_never_get_more_than_the_quota(new_store: Callable[..., Any]) -> None:
    store = new_store(quota_bytes=5 * BLOCK)
    data = [bytes([n]) * BLOCK for n in range(12)]
    refused = []

    async def upload_one(content: bytes) -> None:
        try:
            await store.put("a", name_of(content), BLOCK, 0, content[:100])
            await store.put("a", name_of(content), BLOCK, 100, content[100:])
        except RefusedError:
            refused.append(content)

    async def upload_all() -> None:
        async with trio.open_nursery() as nursery:
            for content in data:
                nursery.start_soon(upload_one, content)

    trio.run(upload_all)
    assert len(refused) == 7
    assert store.used_bytes("a") == 5 * BLOCK
    assert len(store.list("a")) == 5


def test_two_clients_that_upload_the_same_blob_complete_it_together(store: BlobStore) -> None:
    data = os.urandom(10_000)
    written = 0

    async def upload() -> None:
        nonlocal written
        offset, is_complete = 0, False
        while not is_complete:
            before = offset
            chunk = data[offset : offset + 1000]
            offset, is_complete = await store.put("a", name_of(data), len(data), offset, chunk)
            written += offset == before + len(chunk)

    async def upload_twice() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(upload)
            nursery.start_soon(upload)

    trio.run(upload_twice)
    assert path_of(store, name_of(data)).read_bytes() == data
    assert written <= 2 * len(data) // 1000
    assert store.used_bytes("a") == 3 * BLOCK


def test_dead_clients_leave_no_uploads_behind(store: BlobStore, clock: Clock) -> None:
    most = blob_space._MOST_UPLOADS
    for n in range(most):
        run(store.put, "a", name_of(bytes([n])), 2, 0, b"x")
    with pytest.raises(RefusedError, match="uploads are in progress") as caught:
        run(store.put, "a", name_of(b"more"), 4, 0, b"m")
    assert caught.value.retry_after_seconds
    clock.now += blob_space.IDLE_SECONDS
    put(store, b"more")  # the idle ones made room
    assert store.used_bytes("a") == BLOCK
    run(store.put, "a", name_of(b"xy"), 2, 0, b"x")
    clock.now += blob_space.IDLE_SECONDS
    run(store.put, "a", name_of(b"xy"), 2, 1, b"")  # asking is no sign of life
    run(store.sweep, clock.now)
    with pytest.raises(NotFoundError):
        store.stat("a", name_of(b"xy"))


def test_a_cancelled_upload_can_be_gone_on_with(store: BlobStore) -> None:
    sha256 = name_of(b"abcdef")

    async def lose_the_connection() -> Progress:
        await store.put("a", sha256, 6, 0, b"abc")
        with trio.CancelScope() as scope:
            scope.cancel()
            await store.put("a", sha256, 6, 3, b"def")
        return await store.put("a", sha256, 6, 3, b"")

    assert trio.run(lose_the_connection) == Progress(3, False)
    assert run(store.put, "a", sha256, 6, 3, b"def") == Progress(6, True)


@contextmanager
def slow_writes() -> Iterator[list[bytes]]:
    """Each chunk is written, and noted, once all else has come as far as it can without.

    All else: what waits for that too, but for a shorter time, goes first.
    """
    written = []
    take = upload.Upload.take

    def slow_take(self: upload.Upload, data: bytes) -> None:
        trio.from_thread.run(trio.testing.wait_all_tasks_blocked, 0.01)
        take(self, data)
        written.append(data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upload.Upload, "take", slow_take)
        yield written


def test_a_client_that_waits_for_an_upload_which_fails_is_told_to_begin(store: BlobStore) -> None:
    sha256 = name_of(b"abcdef")
    answers = []

    async def spoil() -> None:
        with pytest.raises(InvalidParamsError):
            await store.put("a", sha256, 6, 3, b"xyz")

    async def wait() -> None:
        answers.append(await store.put("a", sha256, 6, 3, b"def"))

    async def both() -> None:
        await store.put("a", sha256, 6, 0, b"abc")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(spoil)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(wait)

    with slow_writes():
        trio.run(both)
    assert answers == [Progress(0, False)]


def test_an_upload_that_waited_in_vain_for_a_thread_can_be_gone_on_with(store: BlobStore) -> None:
    waiting, running = name_of(b"waiting"), name_of(b"running")
    store._threads.total_tokens = 1

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put, "a", running, 7, 0, b"r")
            await trio.testing.wait_all_tasks_blocked()
            async with trio.open_nursery() as lost:
                lost.start_soon(store.put, "a", waiting, 7, 0, b"wai")
                await trio.testing.wait_all_tasks_blocked()
                lost.cancel_scope.cancel()

    with slow_writes():
        trio.run(main)
    assert store.stat("a", waiting).is_complete is False
    assert run(store.put, "a", waiting, 7, 0, b"waiting") == Progress(7, True)


def test_an_upload_that_the_disk_keeps_waiting_is_not_idle(store: BlobStore, clock: Clock) -> None:
    sha256 = name_of(b"ab")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put, "a", sha256, 2, 0, b"a")
            await trio.testing.wait_all_tasks_blocked()
            await store.sweep(clock.now + blob_space.IDLE_SECONDS)

    with slow_writes():
        trio.run(main)
    assert run(store.put, "a", sha256, 2, 1, b"b") == Progress(2, True)


def test_a_delete_waits_for_the_chunk_that_is_being_written(store: BlobStore) -> None:
    sha256 = name_of(b"ab")

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.put, "a", sha256, 2, 0, b"a")
            await trio.testing.wait_all_tasks_blocked()
            await store.delete("a", sha256)

    with slow_writes() as written:
        trio.run(main)
    assert written == [b"a"]
    assert store.used_bytes("a") == 0


def test_a_full_disk_refuses_and_the_upload_is_gone(
    store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_space(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    sha256 = name_of(b"ab")
    run(store.put, "a", sha256, 2, 0, b"a")
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", no_space)
        with pytest.raises(RefusedError, match="full") as caught:
            run(store.put, "a", sha256, 2, 1, b"b")
    assert caught.value.retry_after_seconds
    assert store.used_bytes("a") == 0
    put(store, b"ab")


def test_what_nobody_used_expires_and_a_use_starts_the_time_anew(
    store: BlobStore, clock: Clock
) -> None:
    used, asked, forgotten = (put(store, data) for data in (b"used", b"asked", b"forgotten"))
    assert store.stat("a", used).expires_at == clock.now + DAY
    clock.now += DAY - 1
    run(store.hold, "a", used).release()
    run(store.put, "a", asked, 5, 0, b"")
    clock.now += 1
    run(store.sweep, clock.now)
    assert {blob.sha256 for blob in store.list("a")} == {used, asked}
    with pytest.raises(NotFoundError):
        store.stat("a", forgotten)
    clock.now += DAY
    run(store.sweep, clock.now)
    assert store.total_bytes == 0


def test_a_held_blob_neither_expires_nor_goes_before_its_last_hold(
    store: BlobStore, clock: Clock
) -> None:
    sha256 = put(store, b"abc")
    first, second = run(store.hold, "a", sha256), run(store.hold, "a", sha256)
    clock.now += 2 * DAY
    run(store.sweep, clock.now)
    run(store.delete, "a", sha256)
    with pytest.raises(NotFoundError):
        run(store.hold, "a", sha256)
    assert store.list("a") == []
    first.release()
    first.release()
    assert second.path.read_bytes() == b"abc"
    assert store.used_bytes("a") == BLOCK  # it takes its place as long as it is there
    second.release()
    assert not second.path.exists()
    assert store.used_bytes("a") == 0


def test_a_deleted_blob_that_is_still_held_comes_back_with_an_upload(store: BlobStore) -> None:
    sha256 = put(store, b"abc")
    with run(store.hold, "a", sha256) as hold:
        run(store.delete, "a", sha256)
        assert run(store.put, "a", sha256, 3, 0, b"") == Progress(3, True)
    assert hold.path.read_bytes() == b"abc"
    assert store.stat("a", sha256).is_complete


def test_a_restart_keeps_blobs_and_their_age_and_drops_half_ones(
    new_store: Callable[..., BlobStore], clock: Clock, tmp_path: Path
) -> None:
    store = new_store()
    sha256, half = put(store, b"abc"), name_of(b"half")
    run(store.put, "a", half, 4, 0, b"ha")
    path = path_of(store, sha256)
    clock.now += 10
    store = new_store()
    assert not list(tmp_path.rglob("*.draft"))
    assert store.used_bytes("a") == BLOCK
    assert store.stat("a", sha256).expires_at == clock.now - 10 + DAY
    assert run(store.put, "a", half, 4, 2, b"lf") == Progress(0, False)
    os.utime(path, (clock.now + 9 * DAY,) * 2)  # the clock was wrong
    assert new_store().stat("a", sha256).expires_at == clock.now + DAY


def test_a_blob_that_the_power_cut_in_half_is_found_out_before_its_first_use(
    new_store: Callable[..., BlobStore],
) -> None:
    sha256 = put(new_store(), b"abcdef")
    path = path_of(new_store(), sha256)
    for content in (b"abc", b"abc\0\0\0"):
        path.write_bytes(content)
        store = new_store()
        with pytest.raises(NotFoundError):
            run(store.hold, "a", sha256)
        assert not path.exists()
        assert store.used_bytes("a") == 0
        path.write_bytes(content)
        store = new_store()
        assert run(store.put, "a", sha256, 6, 0, b"") == Progress(0, False)
        put(store, b"abcdef")


def test_two_that_find_a_blob_broken_at_once_both_learn_it(
    new_store: Callable[..., BlobStore],
) -> None:
    sha256 = put(new_store(), b"abc")
    path_of(new_store(), sha256).write_bytes(b"xyz")
    store = new_store()

    async def hold_in_vain() -> None:
        with pytest.raises(NotFoundError):
            await store.hold("a", sha256)

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold_in_vain)
            nursery.start_soon(hold_in_vain)

    trio.run(both)
    assert store.used_bytes("a") == 0


def test_the_last_hold_of_a_blob_that_was_lost_leaves_its_successor(store: BlobStore) -> None:
    sha256 = put(store, b"abc")
    hold = run(store.hold, "a", sha256)
    run(store.delete, "a", sha256)
    hold.path.unlink()
    put(store, b"abc")
    hold.release()
    assert path_of(store, sha256).read_bytes() == b"abc"
    assert store.used_bytes("a") == BLOCK


def test_a_blob_is_hashed_again_once_and_not_after_each_use(
    new_store: Callable[..., BlobStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = put(new_store(), b"abc")
    store = new_store()
    run(store.hold, "a", sha256)
    monkeypatch.setattr(blob_space, "has_hash", lambda *_: pytest.fail("hashed again"))
    run(store.hold, "a", sha256)


def test_a_delete_while_it_is_hashed_again_is_not_lost(
    new_store: Callable[..., BlobStore],
) -> None:
    sha256 = put(new_store(), b"abc")
    store = new_store()

    async def hold_and_delete() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold_in_vain)
            await trio.lowlevel.checkpoint()
            await store.delete("a", sha256)

    async def hold_in_vain() -> None:
        with pytest.raises(NotFoundError):
            await store.hold("a", sha256)

    trio.run(hold_and_delete)
    assert store.used_bytes("a") == 0


def test_a_file_that_somebody_took_away_is_a_blob_no_more(store: BlobStore) -> None:
    sha256 = put(store, b"abc")
    path_of(store, sha256).unlink()
    with pytest.raises(NotFoundError):
        run(store.hold, "a", sha256)
    assert store.used_bytes("a") == 0


def test_a_link_has_no_hash_whatever_it_points_to(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"abc")
    link.symlink_to(path)
    assert blob_file.has_hash(path, name_of(b"abc"))
    assert not blob_file.has_hash(link, name_of(b"abc"))


def test_a_link_in_the_place_of_a_blob_is_not_followed(
    new_store: Callable[..., BlobStore], tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"abc")
    before = victim.stat()
    store = new_store()
    sha256 = put(store, b"abc")
    path = path_of(store, sha256)
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(NotFoundError):
        run(store.hold, "a", sha256)
    path.symlink_to(victim)
    store = new_store()
    with pytest.raises(NotFoundError):
        run(store.hold, "a", sha256)
    put(store, b"abc")
    assert not path.is_symlink()
    run(store.delete, "a", sha256)
    assert victim.read_bytes() == b"abc"
    assert victim.stat() == before


def test_a_link_in_the_place_of_a_tenant_is_not_followed(
    new_store: Callable[..., BlobStore], tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / name_of(b"abc")).write_bytes(b"abc")
    space = path_of(store := new_store(), put(store, b"abc")).parent
    for path in space.iterdir():
        path.unlink()
    space.rmdir()
    space.symlink_to(outside)
    store = new_store()
    assert store.total_bytes == 0
    with pytest.raises(NotADirectoryError):
        run(store.put, "a", name_of(b"x"), 1, 0, b"x")
    assert [path.name for path in outside.iterdir()] == [name_of(b"abc")]


def test_a_directory_that_others_can_write_to_is_no_store(
    new_store: Callable[..., BlobStore], tmp_path: Path
) -> None:
    new_store()
    (tmp_path / "blobs").chmod(0o770)
    with pytest.raises(HostError, match="fix: chmod 700"):
        new_store()
    (tmp_path / "blobs").chmod(0o700)
    (tmp_path / "blobs").rename(tmp_path / "other")
    (tmp_path / "blobs").symlink_to(tmp_path / "other")
    with pytest.raises(HostError, match="no directory of ours"):
        new_store()
    (tmp_path / "blobs").unlink()


UPLOADER = """
import hashlib, sys, trio
from pathlib import Path
from sandbox.server.blobs import BlobStore

async def main():
    store = BlobStore(Path(sys.argv[1]), lambda _: 1 << 30, 86400.0)
    for n in range(10000):
        data = n.to_bytes(4, "big") * 4096
        name = hashlib.sha256(data).hexdigest()
        await store.put("a", name, len(data), 0, data[:8192])
        await store.put("a", name, len(data), 8192, data[8192:])
        print(name, flush=True)

trio.run(main)
"""


@pytest.mark.parametrize("acknowledged", [1, 7, 30])
def test_a_server_killed_while_it_uploads_leaves_whole_blobs_only(
    new_store: Callable[..., BlobStore], tmp_path: Path, acknowledged: int
) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", UPLOADER, str(tmp_path / "blobs")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout
        names = [server.stdout.readline().strip() for _ in range(acknowledged)]
        server.kill()
    store = new_store()
    assert not list(tmp_path.rglob("*.draft"))
    held = [blob.sha256 for blob in store.list("a")]
    assert set(names) <= set(held)
    for sha256 in held:
        assert name_of(path_of(store, sha256).read_bytes()) == sha256
    assert store.used_bytes("a") == len(held) * 16384


def test_a_list_can_be_gone_through_in_pieces(store: BlobStore) -> None:
    names = sorted(put(store, bytes([n])) for n in range(5))
    first = store.list("a", most=3)
    rest = store.list("a", after=first[-1].sha256)
    assert [blob.sha256 for blob in first + rest] == names


def test_a_flushed_blob_is_flushed_once(store: BlobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed = []
    fsync = os.fsync

    def note(fd: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{fd}").readlink())
        fsync(fd)

    monkeypatch.setattr(os, "fsync", note)
    with run(store.hold, "a", put(store, b"abc")) as hold:
        assert flushed == []  # an upload alone does not wait for the disk
        run(hold.flush)
        run(hold.flush)
    assert flushed == [hold.path, hold.path.parent]


def open_fds() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_no_fd_is_left(store: BlobStore, new_store: Callable[..., BlobStore]) -> None:
    put(store, b"warm up")
    before = open_fds()
    for n in range(20):
        put(store, b"%d" % n)
    run(store.put, "a", name_of(b"half"), 4, 0, b"h")
    with pytest.raises(InvalidParamsError):
        run(store.put, "a", "0" * 64, 1, 0, b"x")
    store.close()
    store = new_store()
    run(store.hold, "a", name_of(b"1"))
    assert open_fds() == before
