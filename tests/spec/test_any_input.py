"""Whatever comes in, a job or our own complaint about it comes out, and nothing else."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job, job_from_mapping
from sandbox.spec.policy import Policy, load_policy, policy_from_mapping
from sandbox.spec.quantities import MIB, format_size, parse_size

KEYS = [
    "command", "policy", "root", "cwd", "stdin", "tty", "ro", "copy", "collect", "env", "limits",
    "require_grade", "allow_degraded", "disk_counts", "isolation", "memory", "syscalls", "why",
    "extends", "default_action", "environment", "proc", "etc", "allow", "kill", "errno", "names",
    "where", "flags", "mask", "equals", "one_of", "cpu_time", "disk", "wall", "source",
]  # fmt: skip
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.binary(max_size=20), st.sampled_from(["256MiB", "1s", "clone", "EPERM", "CLONE_VM", "a:b"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), values, max_size=8)


@settings(deadline=None, max_examples=300)
@given(documents)
def test_a_job_or_a_complaint(document: dict[str, object]) -> None:
    try:
        assert isinstance(job_from_mapping({"command": ["true"], **document}, Path("/")), Job)
    except SpecError as error:
        assert error.field and "\n" not in str(error)


@settings(deadline=None, max_examples=300)
@given(documents)
def test_a_policy_or_a_complaint(document: dict[str, object]) -> None:
    parent = load_policy("native")
    try:
        assert isinstance(policy_from_mapping("p", {"why": "w", **document}, parent), Policy)
    except SpecError as error:
        assert error.field


@given(st.integers(0, 1 << 50))
def test_a_size_survives_its_own_text(size: int) -> None:
    assert parse_size(format_size(size), "f", least=0, most=1 << 60) == size
    assert parse_size(f"{size}MiB", "f", least=0, most=1 << 80) == size * MIB


@given(st.text(max_size=30))
def test_any_text_is_a_size_or_a_complaint(text: str) -> None:
    try:
        assert 0 <= parse_size(text, "f", least=0, most=1 << 60) <= 1 << 60
    except SpecError as error:
        assert error.field == "f"
