"""A Job over the wire: exactly what was meant, by the rules of every other document."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Artifact, Input, Job, job_from_mapping
from sandbox.spec.limits import GRADES, LIMIT_NAMES
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.job import job_from_map, job_to_map
from sandbox.wire.messages import Request, encode

WORDS = st.binary(max_size=9).map(lambda data: data.replace(b"\0", b"0"))
NAMES = st.binary(min_size=1, max_size=6).map(lambda data: data.translate(None, b"\0/.") or b"n")
HOST_PATHS = st.lists(NAMES, max_size=3).map(lambda n: Path(os.fsdecode(b"/" + b"/".join(n))))
SECONDS = st.floats(0.001, 86400.0)
LIMITS = st.fixed_dictionaries(
    {},
    optional={
        "memory_bytes": st.integers(1 << 20, 1 << 40),
        "processes": st.integers(1, 1 << 22),
        "cpus": st.floats(0.01, 8192),
        "cpu_seconds": st.none() | SECONDS,
        "wall_seconds": SECONDS,
        "idle_seconds": st.none() | SECONDS,
        "extra_seconds": SECONDS,
        "output_bytes": st.integers(1, 1 << 40),
        "fds": st.integers(4, 1 << 20),
        "stack_bytes": st.none() | st.integers(1 << 17, 1 << 30),
        "core": st.none() | st.integers(0, 8191),
    },
)
DISKS = st.just({}) | st.fixed_dictionaries(
    {"disk_bytes": st.integers(1 << 16, 1 << 40), "disk_inodes": st.integers(16, 1 << 32)}
)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    # Each place in a directory of its own: one below another is refused, and tested elsewhere.
    names = draw(st.lists(NAMES, max_size=5))
    places = [b"/work/%d/%s" % (number, name) for number, name in enumerate(names)]
    copied = sorted(draw(st.lists(st.booleans(), min_size=len(places), max_size=len(places))))
    artifacts = draw(st.lists(st.tuples(NAMES, HOST_PATHS), max_size=3, unique_by=lambda a: a[1]))
    return Job(
        command=(draw(WORDS.filter(len)), *draw(st.lists(WORDS, max_size=3))),
        policy=draw(st.sampled_from(["default", "python", "/etc/own.toml", "/\udcff.toml"])),
        limits=draw(LIMITS) | draw(DISKS),
        root=draw(st.none() | HOST_PATHS),
        cwd=draw(st.sampled_from([b"/work", b"/srv/\xff"])),
        environment=draw(
            st.dictionaries(WORDS.map(lambda w: w.replace(b"=", b"_")).filter(len), WORDS)
        ),
        inputs=tuple(
            Input(draw(HOST_PATHS), place, copied=is_copied)
            for place, is_copied in zip(places, copied, strict=True)
        ),
        artifacts=tuple(Artifact(b"/work/" + name, path) for name, path in artifacts),
        stdin=draw(st.none() | HOST_PATHS),
        tty=draw(st.booleans()),
        required_grades=draw(
            st.dictionaries(st.sampled_from(LIMIT_NAMES), st.sampled_from(GRADES))
        ),
        allow_degraded=draw(st.booleans()),
        disk_counts=draw(st.sampled_from(["memory", "apart"])),
    )


@given(jobs())
def test_a_job_arrives_as_it_was(job: Job) -> None:
    document = job_to_map(job)
    assert job_from_map(document) == job
    decoder = Decoder(FRAME_BYTES)
    decoder.feed(encode(Request(1, "job.submit", (document,))))
    message = decoder.next_message()
    assert isinstance(message, Request)
    assert job_from_map(message.params[0]) == job


def test_what_has_its_default_is_not_sent() -> None:
    assert job_to_map(Job((b"true",))) == {"command": (b"true",)}


def test_a_document_without_host_paths_means_what_it_means_in_a_file() -> None:
    document = {
        "command": ["sh", "-c", "true"],
        "limits": {"memory": "256MiB", "wall": "2s", "disk": "64MiB"},
        "env": {"K": "V"},
        "cwd": "src",
        "require_grade": {"memory": "kernel"},
        "policy": "python",
    }
    assert job_from_map(document) == job_from_mapping(document, Path("/"))


def test_a_host_path_is_taken_as_it_is_and_not_looked_at() -> None:
    job = job_from_map(
        {
            "command": ["true"],
            "root": "/no/such/root",
            "stdin": b"/no/such/\xff",
            "ro": [{"source": "/no/such/file"}],
            "copy": [{"source": "/no/such/tree", "destination": "tree"}],
            "collect": [{"path": "out", "destination": "/no/such/place/out"}],
        }
    )
    assert job.root == Path("/no/such/root")
    assert job.stdin == Path("/no/such/\udcff")
    assert job.inputs == (
        Input(Path("/no/such/file"), b"/work/file", copied=False),
        Input(Path("/no/such/tree"), b"/work/tree", copied=True),
    )
    assert job.artifacts == (Artifact(b"/work/out", Path("/no/such/place/out")),)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"comand": []}, "comand: no such key; did you mean command?"),
        ({"limits": {"memroy": 1}}, "limits.memroy: no such key; did you mean memory?"),
        ({"limits": {"memory": "256MB"}}, 'limits.memory: "256MB" is no size'),
        ({"root": "here"}, 'root: "here" is not absolute'),
        ({"root": None}, "root: nothing is neither text nor bytes"),
        ({"stdin": "in"}, 'stdin: "in" is not absolute'),
        ({"stdin": "/\0"}, 'stdin: "/\\x00" holds a NUL'),
        ({"root": "/" + "x" * 4095}, "root: 4096 bytes is out of range"),
        ({"policy": "own.toml"}, 'policy: "own.toml" is not absolute'),
        ({"policy": 1}, "policy: 1 is neither text nor bytes"),
        ({"ro": ["/bin:/x"]}, 'ro[0]: "/bin:/x" is no table'),
        ({"ro": [{}]}, "ro[0]: nothing is neither text nor bytes"),
        ({"ro": [{"source": "/"}]}, "ro[0]: is empty"),
        ({"ro": [{"source": "/x/.."}]}, 'ro[0]: ".." holds ..'),
        ({"ro": [{"source": "/a"}, {"source": "/b/a"}]}, 'ro[1]: "/work/a" is also where ro[0]'),
        (
            {"ro": [{"source": "/a"}], "copy": [{"source": "/b", "destination": "a/b"}]},
            'copy[0]: "/work/a/b" lies below "/work/a", which is read-only',
        ),
        ({"ro": [{"source": "/a", "destination": "/proc/x"}]}, 'ro[0]: "/proc/x" is the sandbox'),
        ({"ro": [{"source": "/a"}] * 4097}, "ro: 4097 items is out of range; allowed: 0 to 4096"),
        ({"collect": [{"path": "o", "destination": "x"}]}, 'collect[0]: "x" is not absolute'),
        ({"collect": [{"destination": "/x"}]}, "collect[0]: nothing is no text"),
        (
            {"collect": [{"path": "a", "destination": "/x"}, {"path": "b", "destination": "/x"}]},
            "collect: a file of the host is written twice",
        ),
        ({"env": {"A=B": "1"}}, 'env."A=B": is no name of a variable'),
        ({"isolation": "vm"}, "isolation: there is no vm tier yet"),
        ({"disk_counts": "x" * 5000}, "disk_counts: 5000 bytes is out of range"),
    ],
)
def test_a_refusal_names_the_field(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(SpecError) as caught:
        job_from_map({"command": ["true"], **keys})
    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize("name", ["disk_bytes", "disk_inodes"])
def test_half_a_disk_cannot_be_sent(name: str) -> None:
    with pytest.raises(SpecError, match=r"^limits\.disk: needs both"):
        job_to_map(Job((b"true",), limits={name: 1 << 20}))


KEYS = (
    "command", "policy", "root", "cwd", "stdin", "tty", "ro", "copy", "collect", "env",
    "require_grade", "allow_degraded", "disk_counts", "isolation", "limits",
)  # fmt: skip
PIECES = st.sampled_from(
    [None, True, 1, -1, 0.5, "", "/", "/x", "..", "host", "-", "none", "\0", "\udcff", "\ud800",
     b"\xff", b"", b"/x", "256MB", "x.toml", "vm"]
)  # fmt: skip
VALUES = st.recursive(
    PIECES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["source", "destination", "path", "memory", "x"]), inner)
    ),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), VALUES) | VALUES)
def test_no_map_raises_anything_but_a_spec_error(value: Any) -> None:
    documents = [value, {"command": ["x"], **value}] if isinstance(value, dict) else [value]
    for document in documents:
        try:
            job = job_from_map(document)
        except SpecError as error:
            assert str(error).isprintable()
        else:
            assert job_from_map(job_to_map(job)) == job
