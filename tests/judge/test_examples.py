"""Every example package, by `sandbox judge --verify`: all of it as its submissions expect."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from judge.plain import PACKAGES, PROBLEMS

from sandbox.judge.language import detect, load_languages
from sandbox.judge.package import read_problem
from sandbox.judge.problem import Submission
from sandbox.judge.toolchain import find_toolchain
from sandbox.spec.errors import HostError

LANGUAGES = load_languages()
NAMES = {package: str(package.relative_to(PROBLEMS)) for package in PACKAGES}


def submissions() -> Iterator[tuple[str, Submission]]:
    for package, name in NAMES.items():
        for submission in read_problem(package).submissions:
            yield name, submission


def users() -> dict[str, list[str]]:
    """Language -> the submissions that are in it."""
    found = defaultdict(list)
    for name, submission in submissions():
        found[detect(submission, LANGUAGES).code].append(f"{name}/submissions/{submission.name}")
    return found


USERS = users()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cache of built programs that begins empty."""
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "XDG_CACHE_HOME": str(cache)}


@pytest.mark.parametrize("package", PACKAGES, ids=NAMES.get)
def test_a_package_is_as_its_submissions_expect(environment: dict[str, str], package: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox", "judge", "--verify", "--json", package],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    if not done.stdout and "fix: install it" in done.stderr:
        pytest.skip(f"its validator: {done.stderr.splitlines()[-1]}")
    assert done.stdout, done.stderr
    document = json.loads(done.stdout)
    found = dict(
        zip((one["submission"] for one in document["judgements"]), document["unmet"], strict=True)
    )
    expected = {one.name: is_here(one) for one in read_problem(package).submissions}
    assert found.keys() == expected.keys()
    assert {name: unmet for name, unmet in found.items() if expected[name] and unmet} == {}
    verdicts = {one["submission"]: one["verdict"] for one in document["judgements"]}
    assert [name for name, verdict in verdicts.items() if verdict == "JE"] == [
        name for name, here in expected.items() if not here
    ]
    assert done.returncode == (0 if all(expected.values()) else 125)


def is_here(submission: Submission) -> bool:
    try:
        find_toolchain(detect(submission, LANGUAGES))
    except HostError:
        return False
    return True


@pytest.mark.parametrize("code", sorted(USERS))
def test_the_language_of_these_submissions_is_here(code: str) -> None:
    try:
        find_toolchain(LANGUAGES[code])
    except HostError as error:
        pytest.skip(f"not judged: {', '.join(USERS[code])}: {error}")
