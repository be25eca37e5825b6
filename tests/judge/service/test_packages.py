"""Archives of packages: unpacked once, in a sandbox, and whole or not at all."""

from pathlib import Path

import pytest
from judge.service.contest import RIGHT, judged, package, tarred, upload, with_quota, zipped
from server.daemon import PATIENCE_SECONDS, Client, Daemon, serving

HELD_WHEN_UNPACKED = """
import sys, trio
from sandbox.judge.service import packages
unpack = packages.unpack_package
async def held(*arguments):
    await unpack(*arguments)
    print('{"event": "held"}', file=sys.stderr, flush=True)
    await trio.sleep_forever()
packages.unpack_package = held
"""


@pytest.mark.parametrize(
    "archive",
    [
        zipped(package()),
        zipped(package(), "double/"),
        zipped(package() | {"__MACOSX/._problem.yaml": b"\0"}),
        tarred(package(), "gz"),
        tarred(package(), "xz"),
        tarred({f"./double/{name}": data for name, data in package().items()}, ""),
    ],
    ids=["zip", "zip-below", "zip-of-a-mac", "tar.gz", "tar.xz", "tar-with-dots"],
)
def test_an_archive_of_any_usual_kind_is_judged_by(client: Client, archive: bytes) -> None:
    assert judged(client, upload(client, archive), RIGHT)["verdict"] == "AC"


def test_a_package_is_unpacked_once_for_all_judgings(daemon: Daemon, client: Client) -> None:
    problem = upload(client, zipped(package()))
    judged(client, problem, RIGHT)
    (place,) = daemon.state.glob(f"judge/*/packages/{problem}")
    made = place.stat().st_ino
    client.call("blob.delete", sha256=problem)  # what is unpacked is enough
    assert judged(client, problem, RIGHT)["verdict"] == "AC"
    assert place.stat().st_ino == made


def test_a_package_that_was_damaged_meanwhile_is_unpacked_again(daemon: Daemon) -> None:
    with daemon.client() as client:
        problem = upload(client, zipped(package()))
        judged(client, problem, RIGHT)
    daemon.kill()
    (answer,) = daemon.state.glob(f"judge/*/packages/{problem}/problem/data/secret/0001.ans")
    answer.write_bytes(b"7\n")
    daemon.start()
    with daemon.client() as client:
        assert judged(client, problem, RIGHT)["verdict"] == "AC"
    assert answer.read_bytes() == b"2\n"


def test_half_a_package_is_never_taken_for_whole(daemon: Daemon) -> None:
    daemon.drain()
    daemon.start(change=HELD_WHEN_UNPACKED)
    with daemon.client() as client:
        problem = upload(client, zipped(package()))
        told = client.call("judge.submit", problem=problem, files={"a.py": RIGHT})
        daemon.wait_for("held")
    assert list(daemon.state.glob("judge/*/packages/draft-*"))
    assert not list(daemon.state.glob(f"judge/*/packages/{problem}"))
    daemon.kill()
    daemon.start()
    with daemon.client() as client:
        told = client.call("judge.wait", judging=told["judging"], wait_seconds=PATIENCE_SECONDS)
        assert (told["verdict"], told["runs"]) == ("AC", 2)
    assert not list(daemon.state.glob("judge/*/packages/draft-*"))


def judged_one_after_the_other(client: Client, *packages: dict[str, bytes]) -> list[str]:
    """Their names, when each was judged by."""
    problems = [upload(client, zipped(files)) for files in packages]
    for problem in problems:
        assert judged(client, problem, RIGHT)["verdict"] == "AC"
    return problems


@pytest.mark.parametrize(("files", "below"), [(400, ""), (40, "/d/d/d/d/d/d/d/d/it")])
def test_many_small_files_and_directories_count_as_what_they_take(
    files: int, below: str, tmp_path: Path, leftovers: None
) -> None:
    many = [
        package(**{f"statement/{number}-{n}{below}": b"" for n in range(files)})
        for number in range(3)
    ]
    with serving(tmp_path, with_quota("4MiB")) as daemon, daemon.client() as client:
        problems = judged_one_after_the_other(client, *many)
        kept = {path.name for path in daemon.state.glob("judge/*/packages/*")}
        assert kept == set(problems[1:])


def test_the_oldest_packages_go_where_there_are_too_many(tmp_path: Path, leftovers: None) -> None:
    large = [package(**{"statement/filler": bytes([number]) * (1536 << 10)}) for number in range(3)]
    with serving(tmp_path, with_quota("4MiB")) as daemon, daemon.client() as client:
        problems = judged_one_after_the_other(client, *large)
        kept = {path.name for path in daemon.state.glob("judge/*/packages/*")}
        assert kept == set(problems[1:])
        assert judged(client, problems[0], RIGHT)["verdict"] == "AC"


def test_why_a_judging_has_failed_is_in_the_log(daemon: Daemon) -> None:
    with daemon.client() as client:
        told = judged(client, upload(client, zipped({"problem.yaml": b"limits: 5\n"})), RIGHT)
    assert told["state"] == "failed"
    event = daemon.wait_for("judging")
    assert (event["state"], event["error"]) == ("failed", told["error"]["message"]), event
