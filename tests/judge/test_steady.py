"""A short run of steady.py: verdicts as expected, and nothing left."""

import shutil

import pytest
import trio
from judge.steady import judge_many

pytestmark = pytest.mark.skipif(
    not (shutil.which("gcc") and shutil.which("g++")), reason="no gcc and g++ on this host"
)


@pytest.mark.usefixtures("leftovers")
def test_judgings_one_after_the_other_come_to_what_they_must_and_leave_nothing() -> None:
    found = trio.run(judge_many, 20)
    assert not found.faults
    assert found.verdicts.total() == 20 and len(found.verdicts) >= 4
