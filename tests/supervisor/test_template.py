"""Templates: a root that has changed is mounted anew, and no more stay up than are used."""

from pathlib import Path

import pytest
import trio
from supervisor.resident import HELD, TRUE, resident, until

from sandbox.spec.policy import load_policy
from sandbox.supervisor import supervisor, template
from sandbox.supervisor.planner import TemplateKey

NATIVE = load_policy("native")


@pytest.mark.parametrize("change", ["a program installed", "a package recorded", "replaced"])
def test_a_changed_root_is_noticed(change: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "var/lib/dpkg").mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text("")
    key = TemplateKey(root, b"work", (), NATIVE)
    before = template._host_state(key)
    assert template._host_state(key) == before, "control: nothing has changed"
    if change == "a program installed":
        (root / "usr/bin/new").write_text("")
    elif change == "a package recorded":
        (root / "var/lib/dpkg/status").write_text("Package: new\n")
    else:
        root.rename(tmp_path / "old")
        (root / "usr/bin").mkdir(parents=True)
    assert template._host_state(key) != before


def test_a_stale_template_serves_no_other_job(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    async def main() -> None:
        async with resident() as here:
            (old,) = await here.parked()
            first = here.zygote()
            assert first is not None
            monkeypatch.setattr(template, "_host_state", lambda _key: ("changed",))
            monkeypatch.setattr(supervisor, "_STALE_SECONDS", 0.0)
            (await here.run(TRUE)).must_end()
            assert here.zygote() is not first, "the old root is still in use"
            assert old not in here.spy.taken and old not in here.idle
            await until(first.is_dead)

    trio.run(main)


def test_the_least_used_template_is_closed(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    monkeypatch.setattr(supervisor, "_MOST_TEMPLATES", 2)

    async def main() -> None:
        policies = [NATIVE._replace(name=f"native-{number}") for number in range(4)]
        async with resident() as here:
            for policy in policies:
                (await here.run(TRUE, policy)).must_end()
                assert len(here.supervisor._templates) <= 2
            in_use = [found.key.policy for found in here.supervisor._templates]
            assert in_use == policies[:1:-1], "the last used ones stay, the last one first"
            # One that is used stays up until its job is over, and the job is not disturbed.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(here.at_once, 1, HELD, policies[0])
                for policy in policies[1:]:
                    (await here.run(TRUE, policy)).must_end()

    trio.run(main)
