"""Policy files: what they inherit, what they may say, and where they are found."""

import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from sandbox.spec.errors import SpecError
from sandbox.spec.policy import (
    ArgumentCheck,
    Policy,
    SyscallRule,
    load_policy,
    policy_from_mapping,
    policy_names,
)

ROOT = Path(__file__).resolve().parents[2]
ALL_BITS = (1 << 64) - 1
LIMITS = {
    "memory": "64MiB", "processes": 1, "cpus": 1, "wall": "1s", "disk": "1MiB", "output": 100,
    "fds": 8,
}  # fmt: skip
WHOLE: dict[str, Any] = {
    "why": "a test",
    "default_action": "ENOSYS",
    "limits": LIMITS,
    "environment": {"A": "parent", "B": "parent"},
    "etc": ["passwd"],
    "syscalls": [
        {"allow": ["read", "write"], "why": "w"},
        {"errno": "EPERM", "names": ["clone"], "why": "w"},
        {"allow": ["clone"], "where": {"flags": {"equals": 0}}, "why": "w"},
    ],
}
PARENT = policy_from_mapping("parent", WHOLE, None)


def child(**keys: Any) -> Policy:
    return policy_from_mapping("child", {"extends": "parent", "why": "w", **keys}, PARENT)


def rules(**entry: Any) -> list[SyscallRule]:
    policy = child(syscalls=[{"why": "w", **entry}])
    return [rule for rule in policy.syscalls if rule not in PARENT.syscalls]


def test_a_child_that_says_nothing_is_its_parent() -> None:
    policy = child()
    assert policy.name == "child"
    for name in ("syscalls", "limits", "environment", "default_action", "etc", "proc", "root"):
        assert getattr(policy, name) == getattr(PARENT, name)


def test_a_childs_rule_replaces_all_of_the_parents_for_that_syscall_only() -> None:
    policy = child(syscalls=[{"kill": ["clone", "write"], "why": "w"}])
    assert policy.syscalls == (
        SyscallRule(("clone", "write"), "kill", (), "w"),
        SyscallRule(("read",), "allow", (), "w"),
    )


def test_an_answer_is_an_action_with_names() -> None:
    assert rules(answer=0, names=["getpid"]) == [SyscallRule(("getpid",), "answer 0", (), "w")]


def test_limits_and_variables_are_replaced_one_by_one_and_other_keys_whole() -> None:
    policy = child(limits={"memory": "1MiB"}, environment={"A": "child"}, etc=["group"])
    assert policy.limits == {**PARENT.limits, "memory_bytes": 1 << 20}
    assert policy.environment == {b"A": b"child", b"B": b"parent"}
    assert policy.etc == (b"group",)


def test_constants_arguments_and_masks_are_known_by_name() -> None:
    where = {"flags": {"mask": "CLONE_THREAD", "equals": "CLONE_THREAD"}, "1": {"not_equals": 7}}
    assert rules(allow=["clone"], where=where) == [
        SyscallRule(
            ("clone",),
            "allow",
            (ArgumentCheck(0, 0x10000, 0x10000), ArgumentCheck(1, ALL_BITS, 7, negated=True)),
            "w",
        )
    ]


def test_one_of_makes_a_rule_for_each_combination() -> None:
    where = {"0": {"one_of": [1, 2]}, "1": {"one_of": [3, 4]}, "2": {"equals": 5}}
    values = [tuple(c.value for c in rule.where) for rule in rules(kill=["ioctl"], where=where)]
    assert values == [(1, 3, 5), (1, 4, 5), (2, 3, 5), (2, 4, 5)]


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"wy": "w"}, "wy"),
        ({"why": ""}, "why"),
        ({"default_action": "allow"}, "default_action"),
        ({"proc": "all"}, "proc"),
        ({"root": "host"}, "root"),
        ({"cgroup_files": "yes"}, "cgroup_files"),
        ({"etc": ["../shadow"]}, "etc[0]"),
        ({"etc": ["a", "/etc/passwd"]}, "etc[1]"),
        ({"etc": ["."]}, "etc[0]"),
        ({"optional_walls": ["seccomp"]}, "optional_walls[0]"),
        ({"limits": {"memry": 1}}, "limits.memry"),
        ({"environment": {"A=B": ""}}, 'environment."A=B"'),
        ({"environment": {"A": 1}}, "environment.A"),
        ({"syscalls": [{"allow": ["read"]}]}, "syscalls[0].why"),
    ],
)
def test_a_refusal_names_its_field(keys: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        child(**keys)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        ({}, "syscalls[0]"),
        ({"allow": ["read"], "kill": ["write"]}, "syscalls[0]"),
        ({"allow": ["read"], "names": ["write"]}, "syscalls[0]"),
        ({"errno": "EPERM"}, "syscalls[0]"),
        ({"errno": "EPRM", "names": ["read"]}, "syscalls[0].errno"),
        ({"answer": 0}, "syscalls[0]"),
        ({"answer": 1, "names": ["read"]}, "syscalls[0].answer"),
        ({"answer": False, "names": ["read"]}, "syscalls[0].answer"),
        ({"answer": "0", "names": ["read"]}, "syscalls[0].answer"),
        ({"answer": 0, "errno": "EPERM", "names": ["read"]}, "syscalls[0]"),
        ({"allow": []}, "syscalls[0].allow"),
        ({"allow": "read"}, "syscalls[0].allow"),
        ({"allow": ["read", 0]}, "syscalls[0].allow[1]"),
        ({"alow": ["read"]}, "syscalls[0].alow"),
        ({"allow": ["clone"], "where": {}}, "syscalls[0].where"),
        ({"allow": ["clone"], "where": {"flag": {"equals": 0}}}, "syscalls[0].where.flag"),
        ({"allow": ["clone"], "where": {"6": {"equals": 0}}}, "syscalls[0].where.6"),
        ({"allow": ["clone", "read"], "where": {"flags": {"equals": 0}}},
         "syscalls[0].where.flags"),
        ({"allow": ["clone"], "where": {"0": {}}}, "syscalls[0].where.0"),
        ({"allow": ["clone"], "where": {"0": {"mask": 1}}}, "syscalls[0].where.0"),
        ({"allow": ["clone"], "where": {"0": {"equals": -1}}}, "syscalls[0].where.0.equals"),
        ({"allow": ["clone"], "where": {"0": {"equals": 1 << 64}}}, "syscalls[0].where.0.equals"),
        ({"allow": ["clone"], "where": {"0": {"equals": "CLONE_THRED"}}},
         "syscalls[0].where.0.equals"),
        ({"allow": ["clone"], "where": {"0": {"mask": 1, "equals": 2}}},
         "syscalls[0].where.0.equals"),
        ({"allow": ["clone"], "where": {"0": {"one_of": []}}}, "syscalls[0].where.0.one_of"),
        ({"allow": ["clone"], "where": {str(n): {"one_of": list(range(99))} for n in range(3)}},
         "syscalls[0].where"),
    ],
)  # fmt: skip
def test_a_refused_rule_is_named(entry: dict[str, Any], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        rules(**entry)
    assert caught.value.field == field


@pytest.mark.parametrize("missing", ["why", "default_action", *LIMITS])
def test_a_policy_without_parent_is_whole(missing: str) -> None:
    limits = {key: value for key, value in LIMITS.items() if key != missing}
    mapping = {key: value for key, value in WHOLE.items() if key != missing} | {"limits": limits}
    with pytest.raises(SpecError, match=missing):
        policy_from_mapping("x", mapping, None)


def test_every_policy_of_the_package_loads_by_name_and_by_path() -> None:
    assert "default" in policy_names()
    for name in policy_names():
        assert load_policy(name) == load_policy(str(ROOT / "policies" / f"{name}.toml"))


def test_an_unknown_policy_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SpecError, match=r"^policy: .*; did you mean python\?"):
        load_policy("pyton")


def test_a_file_may_extend_one_beside_it_or_one_of_the_package(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('extends = "python"\nwhy = "w"\n')
    (tmp_path / "own.toml").write_text('extends = "base"\nwhy = "w"\n')
    base = (ROOT / "policies/strict.toml").read_text()
    (tmp_path / "base.toml").write_text(base)
    assert load_policy(str(tmp_path / "own.toml")).syscalls == load_policy("strict").syscalls
    with pytest.raises(SpecError, match="extends: is one level only"):
        load_policy(str(tmp_path / "mine.toml"))  # python itself extends another


@pytest.mark.parametrize("parent", ["nowhere", "../x", "/etc/x", "self"])
def test_what_is_extended_must_be_a_policy_and_not_extend_itself(
    tmp_path: Path, parent: str
) -> None:
    path = tmp_path / "self.toml"
    path.write_text(f'extends = "{parent}"\nwhy = "w"\n')
    with pytest.raises(SpecError) as caught:
        load_policy(str(path))
    assert caught.value.field == f"{path}: extends"


def test_an_installed_package_brings_the_same_policies(tmp_path: Path) -> None:
    pytest.importorskip("setuptools", minversion="77", reason="no setuptools to build a wheel with")
    source = tmp_path / "source"
    # A copy: setuptools builds in place.
    for path in ("sandbox", "policies"):
        for file in (ROOT / path).rglob("*"):
            if file.suffix in (".py", ".toml"):
                target = source / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    for name in ("pyproject.toml", "README.md"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    build = "import setuptools.build_meta as b; b.build_wheel('wheel')"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = (source / "wheel").glob("*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)  # what installing a wheel of pure Python is
    assert _modules(site) == _modules(source)
    listed = subprocess.run(
        [sys.executable, "-m", "sandbox", "policy", "list"],
        cwd=site,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    assert tuple(line.split()[0] for line in listed.splitlines()) == policy_names()


def _modules(root: Path) -> set[Path]:
    return {path.relative_to(root) for path in (root / "sandbox").rglob("*.py")}


def test_a_name_that_no_file_can_have_is_no_policy_to_extend(tmp_path: Path) -> None:
    path = tmp_path / "child.toml"
    path.write_text(f'why = "w"\nextends = "{"a" * 300}"\n')
    with pytest.raises(SpecError, match="is no policy") as caught:
        load_policy(str(path))
    assert caught.value.field.endswith("extends")
