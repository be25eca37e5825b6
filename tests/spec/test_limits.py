"""The [limits] table, and a job's limits over those of its policy."""

from typing import Any

import pytest

from sandbox.spec.errors import SpecError
from sandbox.spec.job import Job
from sandbox.spec.limits import LIMIT_NAMES, Limits, limits_from_mapping
from sandbox.spec.policy import limits_for, load_policy

MIB = 1 << 20
FIELDS = set(Limits._fields)
EXAMPLES: dict[str, Any] = {
    "memory": ("256MiB", {"memory_bytes": 256 * MIB}),
    "processes": (64, {"processes": 64}),
    "cpus": (0.5, {"cpus": 0.5}),
    "cpu_time": ("2s", {"cpu_seconds": 2.0}),
    "wall": ("10s", {"wall_seconds": 10.0}),
    "idle": ("5s", {"idle_seconds": 5.0}),
    "extra_time": ("500ms", {"extra_seconds": 0.5}),
    "disk": ("64MiB:1000", {"disk_bytes": 64 * MIB, "disk_inodes": 1000}),
    "output": ("1MiB", {"output_bytes": MIB}),
    "fds": (64, {"fds": 64}),
    "stack": ("8MiB", {"stack_bytes": 8 * MIB}),
    "core": (1, {"core": 1}),
}


@pytest.mark.parametrize("key", EXAMPLES)
def test_each_key_sets_its_fields(key: str) -> None:
    value, expected = EXAMPLES[key]
    assert limits_from_mapping({key: value}) == expected


def test_together_they_set_every_field() -> None:
    limits = limits_from_mapping({key: value for key, (value, _) in EXAMPLES.items()})
    assert limits.keys() == FIELDS
    assert set(LIMIT_NAMES) == EXAMPLES.keys() - {"extra_time"}  # the grace has no enforcer


def test_a_disk_size_alone_brings_an_inode_for_each_page() -> None:
    assert limits_from_mapping({"disk": "4MiB"}) == {"disk_bytes": 4 * MIB, "disk_inodes": 1024}


@pytest.mark.parametrize("key", sorted(EXAMPLES))
def test_none_takes_a_bound_back_where_one_may_be_absent(key: str) -> None:
    try:
        limits = limits_from_mapping({key: "none"})
    except SpecError as error:
        assert error.field == f"limits.{key}"
        assert key not in ("cpu_time", "idle", "stack", "core")
    else:
        assert set(limits.values()) == {None}
        assert key in ("cpu_time", "idle", "stack", "core")


@pytest.mark.parametrize(
    ("key", "value"),
    [("memory", 0), ("memory", "1KiB"), ("processes", 0), ("cpus", 0), ("cpu_time", 0),
     ("wall", "0s"), ("wall", "31000000s"), ("extra_time", -1), ("disk", 0), ("disk", "64MiB:0"),
     ("disk", "64MiB:"), ("disk", "64MiB:1:2"), ("disk", ":5"), ("output", 0), ("fds", 3),
     ("stack", 4096), ("core", -1), ("core", 1.5)],
)  # fmt: skip
def test_a_limit_that_cannot_be_meant_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(SpecError) as caught:
        limits_from_mapping({key: value})
    assert caught.value.field.startswith(f"limits.{key}")


def test_an_unknown_limit_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"^limits\.memry: no such key; did you mean memory\?$"):
        limits_from_mapping({"memry": 1})


def job(**limits: Any) -> Job:
    return Job((b"true",), limits=limits_from_mapping(limits))


def test_a_job_overrides_its_policy_and_nothing_else() -> None:
    policy = load_policy("default")
    limits = limits_for(job(memory="16MiB"), policy)
    assert limits == Limits(**{**policy.limits, "memory_bytes": 16 * MIB})


def test_a_pinned_job_has_one_cpu_at_most() -> None:
    policy = load_policy("default")
    assert limits_for(job(core=0), policy).cpus <= 1
    assert limits_for(job(core=0, cpus=0.25), policy).cpus == 0.25
    with pytest.raises(SpecError, match=r"^limits\.cpus: "):
        limits_for(job(core=0, cpus=2), policy)


def test_an_idle_time_that_the_wall_time_cuts_off_is_refused() -> None:
    policy = load_policy("default")
    assert limits_for(job(idle="2s", wall="3s"), policy).idle_seconds == 2
    with pytest.raises(SpecError, match=r"^limits\.idle: "):
        limits_for(job(idle="3s", wall="2s"), policy)
