"""No document, however odd, raises anything but SpecError, with a message of one printable line."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.policy import Policy, load_policy, policy_from_mapping
from sandbox.spec.toml_file import read_toml

BASE = Path("/usr/lib")

NAMES = st.sampled_from(
    ["", "true", "/", "..", "/proc/x", "a:b", "a=b", "=", ":", "\0", "\ud800", "\udcff", "\x1b[1m",
     "host", "-", "none", "vm", "python3", "python3:x", "x.toml", "256MB", "1s", "EPERM", "clone",
     "flags", "landlock", "CLONE_THREAD"]
)  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=9) | NAMES
    | st.text(max_size=9) | st.dates() | st.integers(-(10**400), 10**400)
)  # fmt: skip


def tables(keys: tuple[str, ...], values: st.SearchStrategy) -> st.SearchStrategy:
    return st.dictionaries(st.sampled_from(keys) | NAMES, values, max_size=5)


JOB_KEYS = (
    "command", "policy", "root", "cwd", "stdin", "tty", "ro", "copy", "collect", "env",
    "require_grade", "allow_degraded", "disk_counts", "isolation", "limits",
)  # fmt: skip
LIMIT_KEYS = ("memory", "cpu_time", "wall", "idle", "processes", "cpus", "core", "disk", "fds")
RULE_KEYS = (
    "allow", "kill", "answer", "errno", "names", "where", "why", "source", "destination", "path",
)  # fmt: skip
CHECK_KEYS = ("mask", "equals", "not_equals", "one_of")
INNER = (
    SCALARS
    | st.lists(SCALARS, max_size=3)
    | tables(LIMIT_KEYS + CHECK_KEYS, SCALARS | st.lists(SCALARS, max_size=2))
)
ENTRIES = tables(RULE_KEYS, INNER | tables(("flags", "0", "9"), INNER))
VALUES = INNER | ENTRIES | st.lists(INNER | ENTRIES, max_size=3)
POLICY_KEYS = (
    "extends", "why", "default_action", "syscalls", "limits", "environment", "proc",
    "cgroup_files", "root", "etc", "optional_walls",
)  # fmt: skip


def reads(kind: type, read: Any, *arguments: Any) -> None:
    """`read` gives a `kind`, or raises SpecError that can be printed as it is."""
    try:
        assert isinstance(read(*arguments), kind)
    except SpecError as error:
        assert error.field
        assert error.problem
        assert str(error).isprintable()


@given(tables(JOB_KEYS, VALUES) | VALUES)
def test_any_document_is_a_job_or_a_refusal(document: Any) -> None:
    reads(Job, job_from_mapping, document, BASE)
    if isinstance(document, dict):
        reads(Job, job_from_mapping, {**document, "command": ["true"]}, BASE)


@given(tables(POLICY_KEYS, VALUES) | VALUES)
def test_any_document_is_a_policy_or_a_refusal(document: Any) -> None:
    reads(Policy, policy_from_mapping, "x", document, None)
    if isinstance(document, dict):
        document.pop("extends", None)
        parent = load_policy("strict")
        reads(Policy, policy_from_mapping, "x", {**document, "why": "w"}, parent)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8")))
@example(b"x = " + b"1" * 5000)  # more digits than int() takes
@example(b"x = " + b"[" * 5000)
@example(b"\xff")
@example(b"x = 1\nx = 2")
def test_any_bytes_are_toml_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(content)
    try:
        assert isinstance(read_toml(path, "--spec"), dict)
    except SpecError as error:
        assert error.field == "--spec"
        assert str(path) in error.problem


@pytest.mark.parametrize(
    "path", ["/dev/zero", "/", "/nowhere", "/etc/\0", "/proc/self/mem", "x" * 300]
)
def test_what_is_no_file_is_a_refusal(path: str) -> None:
    with pytest.raises(SpecError, match=r"^--spec: "):
        read_toml(Path(path), "--spec")
