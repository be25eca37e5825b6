"""A template that is mounted before trio is loaded: used by its job, and by no other."""

import pytest
import trio

from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.spec.result import Result
from sandbox.supervisor.ahead import plan_ahead
from sandbox.supervisor.files import Files
from sandbox.supervisor.lifecycle import Caller, Cancellation
from sandbox.supervisor.startup import Ground, start_keeper, take_ground
from sandbox.supervisor.supervisor import open_supervisor

pytestmark = pytest.mark.usefixtures("leftovers")

TRUE = Job((b"/usr/bin/true",), "native")


@pytest.mark.parametrize("other", [TRUE, Job((b"/usr/bin/true",), "native", cwd=b"/data")])
def test_a_job_runs_whether_or_not_it_is_the_one_that_was_planned(other: Job) -> None:
    keeper = start_keeper()
    try:
        ground, _ = take_ground(keeper, TRUE)
        plan_ahead(ground, TRUE, load_policy("native"))
        assert keeper.first.mounted is not None
        result = trio.run(_run, ground, other)
        assert (result.verdict, result.exit_code) == ("exited", 0)
    finally:
        keeper.close_all()
    ground.close()


async def _run(ground: Ground, job: Job) -> Result:
    async def sink(_stream: str, _data: bytes) -> None:
        pass

    policy = load_policy("native")
    caller = Caller(sink, None, Cancellation())
    async with open_supervisor(ground) as supervisor:
        return await supervisor.run(job, policy, limits_for(job, policy), Files((), ()), caller)
