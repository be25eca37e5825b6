"""From a document to a Job: what each key means, and what each refusal names."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job, job_from_mapping
from sandbox.spec.paths import inside_path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A directory of a spec file, with things to name."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/leaf").write_text("leaf")
    (tmp_path / "main.c").write_text("int main;")
    (tmp_path / "a:b").write_text("colon")
    return tmp_path


def read(base: Path, **keys: Any) -> Job:
    return job_from_mapping({"command": ["true"], **keys}, base)


def refusal(base: Path, **keys: Any) -> SpecError:
    with pytest.raises(SpecError) as caught:
        read(base, **keys)
    return caught.value


def test_a_command_is_all_that_a_job_needs(base: Path) -> None:
    assert job_from_mapping({"command": ["sh", "-c", ""]}, base) == Job((b"sh", b"-c", b""))


def test_every_key_is_read(base: Path) -> None:
    job = read(
        base,
        policy="python",
        limits={"memory": "16MiB"},
        root="tree",
        cwd="/home/job",
        stdin="main.c",
        tty=True,
        ro=["tree"],
        copy=["main.c:src/m.c"],
        collect=["out=result.txt"],
        env={"K": "V=1", "EMPTY": ""},
        require_grade={"cpu_time": "polled"},
        allow_degraded=True,
        disk_counts="apart",
        isolation="container",
    )
    assert job == Job(
        command=(b"true",),
        policy="python",
        limits={"memory_bytes": 16 << 20},
        root=base / "tree",
        cwd=b"/home/job",
        environment={b"K": b"V=1", b"EMPTY": b""},
        inputs=(
            Input(base / "tree", b"/home/job/tree", copied=False),
            Input(base / "main.c", b"/home/job/src/m.c", copied=True),
        ),
        artifacts=(Artifact(b"/home/job/out", base / "result.txt"),),
        stdin=base / "main.c",
        tty=True,
        required_grades={"cpu_time": "polled"},
        allow_degraded=True,
        disk_counts="apart",
    )


def test_text_is_bytes_with_surrogateescape_and_bytes_are_themselves(base: Path) -> None:
    job = job_from_mapping({"command": ["\udcff", b"\xfe", "ä"]}, base)
    assert job.command == (b"\xff", b"\xfe", "ä".encode())


@pytest.mark.parametrize(
    ("entry", "source", "destination"),
    [
        ("main.c", "main.c", b"/work/main.c"),
        ("main.c:", None, None),
        (":x", None, None),
        ("main.c:x", "main.c", b"/work/x"),
        ("main.c:a/./b//c", "main.c", b"/work/a/b/c"),
        ("main.c://tmp/x", "main.c", b"/tmp/x"),
        ("tree/", "tree", b"/work/tree"),
        ("a:b:c", "a:b", b"/work/c"),
        ("main.c:/dev/shm/x", "main.c", b"/dev/shm/x"),
        ({"source": "a:b"}, "a:b", b"/work/a:b"),
        ({"source": "main.c", "destination": "x:y"}, "main.c", b"/work/x:y"),
    ],
)
@pytest.mark.parametrize("key", ["ro", "copy"])
def test_an_input_splits_at_its_last_colon(
    base: Path, key: str, entry: Any, source: str | None, destination: bytes | None
) -> None:
    if source is None or destination is None:
        assert refusal(base, **{key: [entry]}).field == f"{key}[0]"
    else:
        expected = Input(base / source, destination, copied=key == "copy")
        assert read(base, **{key: [entry]}).inputs == (expected,)


def test_an_input_is_named_as_the_caller_named_it(base: Path) -> None:
    (base / "link").symlink_to("main.c")
    assert read(base, ro=["link"]).inputs[0].destination == b"/work/link"
    assert read(base / "tree", ro=["."]).inputs[0].destination == b"/work/tree"


def test_an_artifact_splits_at_its_first_equals_sign(base: Path) -> None:
    job = read(base, collect=["a=b=c", {"path": "d=e", "destination": "tree/f"}])
    assert job.artifacts == (
        Artifact(b"/work/a", base / "b=c"),
        Artifact(b"/work/d=e", base / "tree/f"),
    )


PLACES = [
    "/", "/..", "..", "a/../b", "/proc", "/proc/self", "//proc", "/./proc", "/dev", "/dev/null",
    "/dev/shm/../null", "/sys", "/sys/fs", "", "x\0y",
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_the_sandboxs_own_places_are_refused(base: Path, place: str) -> None:
    assert refusal(base, cwd=place).field == "cwd"
    entry = {"source": "main.c", "destination": place}
    assert refusal(base, ro=[entry]).field == "ro[0]"
    assert refusal(base, copy=["main.c", entry]).field == "copy[1]"
    assert refusal(base, collect=[{"path": place, "destination": "f"}]).field == "collect[0]"


@pytest.mark.parametrize("place", [b"/process", b"/device", b"/system", b"/dev/shm", b"/work/proc"])
def test_places_that_only_look_like_them_are_not(place: bytes) -> None:
    assert inside_path(place, "x", b"/work") == place


@pytest.mark.parametrize(
    "keys",
    [
        {"ro": ["main.c", "tree:main.c"]},
        {"ro": ["main.c"], "copy": ["tree:./main.c"]},
        {"ro": ["tree", "main.c:tree/x"]},
        {"ro": ["tree"], "copy": ["main.c:tree/x"]},
    ],
)
def test_inputs_never_cover_each_other(base: Path, keys: dict[str, Any]) -> None:
    assert "/work/" in refusal(base, **keys).problem


def test_an_input_may_lie_in_a_copied_directory(base: Path) -> None:
    job = read(base, copy=["tree"], ro=["main.c:tree/x"])
    assert {item.destination for item in job.inputs} == {b"/work/tree", b"/work/tree/x"}


def test_only_files_and_directories_are_inputs(base: Path) -> None:
    os.mkfifo(base / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(base / "s"))
        for name in ("fifo", "s", "/dev/null"):
            assert "neither a file nor a directory" in refusal(base, ro=[f"{name}:x"]).problem


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"comand": []}, "comand"),
        ({"command": []}, "command"),
        ({"command": [""]}, "command"),
        ({"command": "true"}, "command"),
        ({"command": ["true", 1]}, "command[1]"),
        ({"command": ["true", "a\0b"]}, "command[1]"),
        ({"command": ["\ud800"]}, "command[0]"),
        ({"policy": ""}, "policy"),
        ({"policy": 1}, "policy"),
        ({"limits": []}, "limits"),
        ({"limits": {"memory": "x"}}, "limits.memory"),
        ({"root": "nowhere"}, "root"),
        ({"root": "main.c"}, "root"),
        ({"stdin": "nowhere"}, "stdin"),
        ({"stdin": "tree"}, "stdin"),
        ({"tty": 1}, "tty"),
        ({"tty": "true"}, "tty"),
        ({"ro": "main.c"}, "ro"),
        ({"ro": ["nowhere"]}, "ro[0]"),
        ({"ro": [{}]}, "ro[0]"),
        ({"ro": [{"source": "main.c", "dest": "x"}]}, "ro[0].dest"),
        ({"ro": ["/"]}, "ro[0]"),
        ({"collect": ["out"]}, "collect[0]"),
        ({"collect": ["out="]}, "collect[0]"),
        ({"collect": ["out=nowhere/x"]}, "collect[0]"),
        ({"collect": ["out=main.c/x"]}, "collect[0]"),
        ({"collect": ["a=x", "b=./x"]}, "collect[1]"),
        ({"env": ["K=V"]}, "env"),
        ({"env": {"": "V"}}, 'env.""'),
        ({"env": {"A=B": "V"}}, 'env."A=B"'),
        ({"env": {"K": 1}}, "env.K"),
        ({"env": {"K": "\0"}}, "env.K"),
        ({"require_grade": {"memry": "kernel"}}, "require_grade.memry"),
        ({"require_grade": {"memory": "kernl"}}, "require_grade.memory"),
        ({"require_grade": "kernel"}, "require_grade"),
        ({"allow_degraded": 0}, "allow_degraded"),
        ({"disk_counts": "both"}, "disk_counts"),
        ({"isolation": "vm"}, "isolation"),
        ({"isolation": "none"}, "isolation"),
    ],
)
def test_a_refusal_names_its_field(base: Path, keys: dict[str, Any], field: str) -> None:
    assert refusal(base, **keys).field == field


def test_an_unknown_key_is_refused_with_the_nearest_name(base: Path) -> None:
    assert refusal(base, comand=["true"]).problem == "no such key; did you mean command?"


@pytest.mark.parametrize("document", [None, [], "x", 1, {1: 2}])
def test_what_is_no_table_is_no_job(base: Path, document: Any) -> None:
    with pytest.raises(SpecError, match=r"^document: "):
        job_from_mapping(document, base)


def test_of_many_inputs_the_one_below_a_read_only_one_is_found(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()
    copies = [{"source": str(source), "destination": f"/work/{n}/a/b"} for n in range(4000)]
    job = job_from_mapping({"command": ["true"], "copy": copies}, tmp_path)
    assert len(job.inputs) == 4000
    shared = {"source": str(tmp_path), "destination": "/work/3999"}
    with pytest.raises(SpecError, match=r'^copy.3999.: .* lies below "/work/3999", which'):
        job_from_mapping({"command": ["true"], "ro": [shared], "copy": copies}, tmp_path)


@pytest.mark.parametrize("key", ["cwd", "ro", "copy", "collect"])
@pytest.mark.parametrize(
    ("most", "more", "problem"),
    [
        ("/" + "a" * 4094, "/" + "a" * 4095, "over 4095 bytes"),
        ("/a" * 128, "/a" * 129, "over 128 directories deep"),
    ],
    ids=["long", "deep"],
)
def test_a_place_longer_or_deeper_than_any_is_refused(
    most: str, more: str, problem: str, key: str, base: Path
) -> None:
    """Each directory above it is made, and named, so that a megabyte would become gigabytes."""
    for place, is_taken in ((most, True), (more, False)):
        value = {"cwd": place, "collect": [f"{place}=out"]}.get(key, [f"main.c:{place}"])
        if is_taken:
            read(base, **{key: value})
        else:
            assert problem in refusal(base, **{key: value}).problem
