"""Pipelines: bytes arrive whole and in order, ends and broken pipes pass on, verdicts are apart."""

import contextlib
import errno
import os
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trio
from supervisor.piped import AROUND, Piped, job, must_end, program, results, run_piped
from supervisor.resident import TRUE, Outcome, resident, until
from trio.testing import trio_test

from sandbox.spec.errors import (
    ExecError,
    HostError,
    RefusedError,
    SetupError,
    SpecError,
    ZygoteError,
)
from sandbox.spec.job import Job
from sandbox.spec.policy import limits_for, load_policy
from sandbox.supervisor import joint
from sandbox.supervisor.files import Files
from sandbox.supervisor.joint import Joint
from sandbox.supervisor.pipeline import Member, Pipe, check_pipes
from sandbox.supervisor.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("leftovers")

LINE = (Pipe(0, "stdout", 1), Pipe(1, "stdout", 2))
ONE = (Pipe(0, "stdout", 1),)
SUM = "import hashlib\nprint(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
MANY_BYTES = 20_000_000
WRITES_MANY = f"""
import hashlib, random
data = random.Random(1).randbytes({MANY_BYTES})
print(hashlib.sha256(data).hexdigest(), file=sys.stderr)
sys.stdout.buffer.write(data)
"""
UPPER = """
while piece := os.read(0, 1000):
    os.write(1, piece.upper())
"""
ROUNDS = 1000
ASKS = f"""
for number in range({ROUNDS}):
    print(number, flush=True)
    assert int(input()) == number * number
print("right", file=sys.stderr)
"""
ANSWERS = """
for line in sys.stdin:
    print(int(line) ** 2, flush=True)
"""
YES = Job((b"/usr/bin/yes",), "shell")
HEAD = Job((b"/usr/bin/head", b"-n", b"3"), "shell")
CAT = Job((b"/usr/bin/cat",), "native")
READS_ALL = "print(len(sys.stdin.buffer.read()))"


def _roomy(one: Job) -> Job:
    return one._replace(limits={**one.limits, "output_bytes": 2 * MANY_BYTES})


def test_many_bytes_go_through_three_jobs_whole_and_in_order() -> None:
    found = results([_roomy(job(WRITES_MANY)), _roomy(CAT), job(SUM)], LINE)
    first, second, third = must_end(found)
    assert found[2].stdout == found[0].stderr
    assert (first.stdout_bytes, second.stdin_bytes, second.stdout_bytes) == (MANY_BYTES,) * 3
    assert third.stdin_bytes == MANY_BYTES


def test_a_filter_changes_what_goes_through_it_and_the_sinks_see_it() -> None:
    found = results([job("print('a' * 3000)"), job(UPPER), job(READS_ALL)], LINE)
    assert [outcome.stdout for outcome in found] == [
        b"a" * 3000 + b"\n", b"A" * 3000 + b"\n", b"3001\n",
    ]  # fmt: skip


def test_a_stream_that_is_not_recorded_goes_to_its_reader_only() -> None:
    found = results([job("print('a')"), CAT], [Pipe(0, "stdout", 1, is_recorded=False)])
    assert [outcome.stdout for outcome in found] == [b"", b"a\n"]
    assert must_end(found)[0].stdout_bytes == 2


def test_stderr_can_be_piped_and_stdout_goes_to_the_caller() -> None:
    found = results(
        [job("print('out'); print('err', file=sys.stderr)"), CAT], [Pipe(0, "stderr", 1)]
    )
    assert [outcome.stdout for outcome in found] == [b"out\n", b"err\n"]


def test_both_outputs_of_one_job_go_to_two_others() -> None:
    pipes = [Pipe(0, "stdout", 1), Pipe(0, "stderr", 2)]
    found = results([job("print('out'); print('err', file=sys.stderr)"), CAT, CAT], pipes)
    assert [outcome.stdout for outcome in found[1:]] == [b"out\n", b"err\n"]


def test_an_interactor_and_a_solution_speak_a_thousand_times() -> None:
    found = results([job(ASKS), job(ANSWERS)], AROUND)
    first, second = must_end(found)
    assert (first.verdict, first.exit_code, second.exit_code) == ("exited", 0, 0)
    assert found[0].stderr == b"right\n"


def test_two_compiled_programs_speak_many_times(compile_c: Callable, tmp_path: Path) -> None:
    source = tmp_path / "pingpong.c"
    source.write_text(PING_PONG)
    path = compile_c(source)
    found = results([program(path, "ask", "5000"), program(path, "answer", "5000")], AROUND)
    assert [result.exit_code for result in must_end(found)] == [0, 0]


PING_PONG = r"""
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char byte = 'x';
    int rounds = atoi(argv[2]), asks = !strcmp(argv[1], "ask");
    while (rounds--) {
        if (asks && write(1, &byte, 1) != 1) return 1;
        if (read(0, &byte, 1) != 1) return 2;
        if (!asks && write(1, &byte, 1) != 1) return 3;
    }
    return 0;
}
"""


def test_a_job_may_read_what_it_writes() -> None:
    program = "os.write(1, b'echo\\n')\nprint(input(), file=sys.stderr)"
    assert results([job(program)], [Pipe(0, "stdout", 0)])[0].stderr == b"echo\n"


def test_the_writer_ends_by_sigpipe_once_its_reader_is_gone() -> None:
    found = results([YES, HEAD], ONE)
    writer, reader = must_end(found)
    assert (writer.verdict, writer.signal) == ("signaled", signal.SIGPIPE)
    assert (reader.verdict, reader.exit_code, found[1].stdout) == ("exited", 0, b"y\n" * 3)


def test_the_next_write_after_the_reader_has_gone_fails() -> None:
    """Not the one after the next: its reader's end is seen while nothing is written."""
    writes = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: None)
signal.pause()
try:
    os.write(1, b"?")
except BrokenPipeError:
    print("broken", file=sys.stderr)
"""

    async def meet(piped: list[Piped]) -> None:
        await piped[1].ended.wait()
        await _until_hung_up(piped[0])
        piped[0].live.signal(signal.SIGUSR1)

    found = results([job(writes), TRUE], ONE, meet)
    assert must_end(found)[0].exit_code == 0
    assert found[0].stderr == b"broken\n"


async def _until_hung_up(one: Piped) -> None:
    """Until the supervisor has no end of the job's stdout any more, and its handler stands."""

    def caught() -> bool:
        status = Path(f"/proc/{one.live._sandbox._stub_pid}/status").read_text()
        return bool(int(status.split("SigCgt:\t")[1].split()[0], 16) & 1 << signal.SIGUSR1 - 1)

    await until(lambda: caught() and "pipe" not in _links(one))


def _links(one: Piped) -> str:
    # What this process has open of the pipe behind the job's stdout.
    ino = Path(f"/proc/{one.live._sandbox._stub_pid}/fdinfo/1").read_text().split("ino:\t")[1]
    mine = [str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
    return "pipe" if f"pipe:[{ino.split()[0]}]" in mine else ""


def test_a_reader_that_closes_its_stdin_breaks_the_pipe_and_goes_on() -> None:
    reader = "os.read(0, 1)\nos.close(0)\nos.open('/dev/null', os.O_RDONLY)\nprint('on')"
    found = results([YES, job(reader)], ONE)
    writer, reader_result = must_end(found)
    assert writer.signal == signal.SIGPIPE
    assert (reader_result.exit_code, found[1].stdout) == (0, b"on\n")


def test_a_writer_that_closes_its_stdout_ends_the_stream_and_goes_on() -> None:
    writer = """
os.write(1, b"all")
os.close(1)
os.read(0, 1)
print("on", file=sys.stderr)
"""
    reader = "print(len(sys.stdin.buffer.read()), file=sys.stderr)\nos.write(1, b'!')"
    found = results([job(writer), job(reader)], AROUND)
    assert [result.exit_code for result in must_end(found)] == [0, 0]
    assert [outcome.stderr for outcome in found] == [b"on\n", b"3\n"]


def test_what_a_writer_left_is_read_after_its_end() -> None:
    """And its result waits for no reader, however slow."""
    reader = f"""
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.write(2, b"up")
signal.sigwait([signal.SIGUSR1])
{READS_ALL}
"""

    async def meet(piped: list[Piped]) -> None:
        await piped[0].ended.wait()
        await piped[1].wrote.wait()
        assert not piped[1].ended.is_set()
        piped[1].live.signal(signal.SIGUSR1)

    writer = "os.write(1, b'x' * 60000)\nos.write(1, b'x' * 60000)"
    found = results([job(writer), job(reader)], ONE, meet)
    assert must_end(found)[0].stdout_bytes == 120_000
    assert (must_end(found)[1].stdin_bytes, found[1].stdout) == (120_000, b"120000\n")


def test_a_reader_that_does_not_read_stops_its_writer() -> None:
    """No more is taken than two pipes and a piece hold."""
    writer = """
while True:
    os.write(1, b"x" * 4096)
    os.write(2, b".")
"""

    async def meet(piped: list[Piped]) -> None:
        await piped[0].wrote.wait()
        seen = -1
        while seen != (seen := len(piped[0].output["stderr"])):
            await trio.sleep(0.2)
        assert 16 <= seen <= (3 * 65536) // 4096 + 1
        piped[0].cancellation.set()
        await piped[0].ended.wait()
        piped[1].cancellation.set()

    found = results([job(writer), job("time.sleep(60)")], ONE, meet)
    assert [result.verdict for result in must_end(found)] == ["cancelled", "cancelled"]


def test_a_job_that_reads_its_own_output_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """By /dev/stdout, just when its supervisor was told that there is something to read."""
    take, stolen = Joint._take, []

    async def late(joint: Joint) -> None:
        if not stolen:
            stolen.append(os.read(joint._source_fd, 4096))
        await take(joint)

    monkeypatch.setattr(Joint, "_take", late)
    found = results([job("os.write(1, b'x')\nos.write(1, b'x')"), job(READS_ALL)], ONE)
    assert [result.exit_code for result in must_end(found)] == [0, 0]
    assert found[1].stdout == b"%d\n" % (2 - len(stolen[0]))


def test_output_over_its_limit_is_cut_at_the_byte_for_the_reader_too() -> None:
    limited = YES._replace(limits={"output_bytes": 100_001})
    found = results([limited, job(READS_ALL)], ONE)
    writer, reader = must_end(found)
    assert (writer.verdict, writer.stdout_bytes) == ("output", 100_001)
    assert (reader.verdict, found[1].stdout) == ("exited", b"100001\n")


def test_a_member_over_its_memory_has_its_own_verdict() -> None:
    hungry = job("print('a', flush=True)\nheld = bytearray(b'x' * (1 << 30))")
    found = results([hungry._replace(limits={"memory_bytes": 32 << 20}), job(READS_ALL)], ONE)
    assert [result.verdict for result in must_end(found)] == ["memory", "exited"]
    assert found[1].stdout == b"2\n"


def test_a_member_over_its_time_has_its_own_verdict() -> None:
    slow = job("print('a', flush=True)\ntime.sleep(60)", limits={"wall_seconds": 0.5})
    found = results([slow, job(READS_ALL)], ONE)
    assert [result.verdict for result in must_end(found)] == ["wall_time", "exited"]


def test_cancelling_one_member_cancels_no_other() -> None:
    async def meet(piped: list[Piped]) -> None:
        await piped[0].wrote.wait()
        piped[0].cancellation.set()

    slow = job("print('a', flush=True)\ntime.sleep(60)")
    found = results([slow, job(READS_ALL)], ONE, meet)
    assert [result.verdict for result in must_end(found)] == ["cancelled", "exited"]
    assert found[1].stdout == b"2\n"


@pytest.mark.parametrize("index", [0, 1])
def test_a_member_cancelled_before_the_start_is_as_one_that_ended_at_once(index: int) -> None:
    async def main() -> list[Outcome]:
        piped = [Piped(YES), Piped(job(READS_ALL))]
        piped[index].cancellation.set()
        async with resident() as here:
            return await run_piped(here, piped, ONE)

    writer, reader = must_end(trio.run(main))
    if index == 0:
        assert (writer.verdict, reader.verdict, reader.stdin_bytes) == ("cancelled", "exited", 0)
    else:
        assert (writer.signal, reader.verdict) == (signal.SIGPIPE, "cancelled")


@pytest.mark.parametrize("is_first", [True, False])
def test_where_one_cannot_be_built_none_starts_and_the_others_are_told_why(
    is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit, has_failed = Sandbox.fit, trio.Event()

    async def failing(sandbox: Sandbox, *arguments: object) -> None:
        if sandbox._shape.has_inputs:
            has_failed.set()
            raise SetupError("step 9 (inputs) failed: ENOSPC; the payload was never started")
        if is_first:
            await has_failed.wait()
        await fit(sandbox, *arguments)

    monkeypatch.setattr(Sandbox, "fit", failing)
    copied = TRUE._replace(inputs=program(Path("/etc/hostname")).inputs)
    copied = copied._replace(inputs=(copied.inputs[0]._replace(copied=True),))

    async def main() -> tuple[list[Piped], list[Outcome]]:
        piped = [Piped(YES), Piped(copied), Piped(CAT)]
        async with resident() as here:
            return piped, await run_piped(here, piped, LINE)

    piped, found = trio.run(main)
    assert not any(one.started.is_set() for one in piped)
    assert isinstance(found[1].error, SetupError)
    for outcome in (found[0], found[2]):
        assert isinstance(outcome.error, RefusedError)
        assert str(outcome.error).startswith(
            "not started: job 1 of its pipeline could not be: step"
        )


def test_a_command_that_is_not_there_is_one_members_failure() -> None:
    found = results([Job((b"/nowhere",), "native"), job(READS_ALL)], ONE)
    assert isinstance(found[0].error, ExecError)
    assert (found[1].must_end().exit_code, found[1].stdout) == (0, b"0\n")


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_init_is_the_end_of_its_member_only(victim: int) -> None:
    async def meet(piped: list[Piped]) -> None:
        await piped[0].wrote.wait()
        piped[victim].live._sandbox.kill_init()

    found = results([YES._replace(limits={"output_bytes": 1 << 30}), job(READS_ALL)], ONE, meet)
    assert isinstance(found[victim].error, ZygoteError)
    other = found[1 - victim].must_end()
    if victim == 0:
        assert (other.exit_code, found[1].stdout) == (0, b"%d\n" % other.stdin_bytes)
    else:
        assert other.signal == signal.SIGPIPE


def test_a_pipeline_uses_parked_sandboxes_and_all_start_together() -> None:
    async def main() -> int:
        async with resident() as here:
            await here.parked(2, CAT)
            piped = [Piped(CAT), Piped(CAT)]
            taken = len(here.spy.taken)
            must_end(await run_piped(here, piped, ONE))
            return len(here.spy.taken) - taken

    assert trio.run(main) == 2


TERMINAL = TRUE._replace(tty=True)
REFUSALS = {
    "no such source": ([TRUE] * 2, [Pipe(2, "stdout", 1)], "pipes[0].from: there is no job 2"),
    "no such target": ([TRUE] * 2, [Pipe(0, "stdout", -1)], "pipes[0].to: there is no job -1"),
    "no such stream": (
        [TRUE] * 2,
        [Pipe(0, "stdin", 1)],
        'pipes[0].stream: "stdin" is neither stdout nor stderr',
    ),
    "a source twice": (
        [TRUE] * 3,
        [Pipe(0, "stdout", 1), Pipe(0, "stdout", 2)],
        "pipes[1].from: the stdout of job 0 goes elsewhere already",
    ),
    "a target twice": (
        [TRUE] * 3,
        [Pipe(0, "stdout", 2), Pipe(1, "stdout", 2)],
        "pipes[1].to: the stdin of job 2 comes from elsewhere already",
    ),
    "a terminal": (
        [TRUE, TERMINAL],
        [Pipe(0, "stdout", 1)],
        "pipes[0].to: job 1 has a terminal in place of pipes",
    ),
    "no job": ([], [], "jobs: 0 of them; a pipeline has 1 to 16"),
    "too many jobs": ([TRUE] * 17, [], "jobs: 17 of them; a pipeline has 1 to 16"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_connected_is_refused_by_its_field(name: str) -> None:
    jobs, pipes, message = REFUSALS[name]
    with pytest.raises(SpecError) as refusal:
        check_pipes([_member(one) for one in jobs], pipes)
    assert str(refusal.value) == message


def test_a_target_with_a_stdin_of_its_own_is_refused() -> None:
    async def stdin() -> AsyncIterator[bytes]:
        yield b"x"

    with pytest.raises(SpecError, match=r"pipes\[0\].to: job 1 has a stdin of its own"):
        check_pipes([_member(TRUE), _member(CAT, stdin())], ONE)


def _member(one: Job, stdin: AsyncIterator[bytes] | None = None) -> Member:
    policy = load_policy(one.policy)
    return Member(one, policy, limits_for(one, policy), Files((), ()), Piped(one, stdin).caller())


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("call", ["_wait", "Joint._ask"])
@trio_test
async def test_a_joint_that_cannot_be_made_leaves_no_descriptor(
    call: str, number: int, monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    owner = Joint if "." in call else joint
    name = call.rpartition(".")[2]
    real, count = getattr(owner, name), 0

    def fail(*arguments: object) -> object:
        nonlocal count
        count += 1
        if count == 2 * number:  # of two that each joint makes
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return real(*arguments)

    async with resident(None) as here:
        pair = [Piped(job("os.read(0, 1)")) for _ in range(2)]
        (await here.run(job(""))).must_end()
        await until(lambda: not here.cgroups())
        before = _fds()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(HostError, match="Cannot allocate memory"):
                await run_piped(here, pair, AROUND)
        await until(lambda: not here.cgroups())
        assert _fds() == before


def _fds() -> list[str]:
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(re.sub(r"\d+", "N", str(path.readlink())))
    return sorted(found)
