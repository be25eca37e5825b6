"""Deadlocks of pipelines: found long before a limit, told who waits for whom, never guessed.

What is no deadlock is shown by a pipeline that comes to its own end, past many looks at it.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pyseccomp
import pytest
import trio
from supervisor.piped import AROUND, Piped, job, must_end, program, results, run_piped
from supervisor.resident import Outcome, resident, until

from sandbox.spec.job import Job
from sandbox.spec.result import Result
from sandbox.supervisor import deadlock, waits
from sandbox.supervisor.cgroup.absent import AbsentJob
from sandbox.supervisor.cgroup.v1_job import V1Job
from sandbox.supervisor.cgroup.v2_job import V2Job
from sandbox.supervisor.deadlock import Wait, can_deadlock, find_deadlocks, tell
from sandbox.supervisor.pipeline import Pipe

pytestmark = pytest.mark.usefixtures("leftovers")

PATIENT = {"wall_seconds": 50.0}  # far more than any test takes
READS = "os.read(0, 1)"
WRITES = "while True: os.write(1, b'x' * 4096)"
RING = (Pipe(0, "stdout", 1), Pipe(1, "stdout", 2), Pipe(2, "stdout", 0))
LOOKS = 4  # that find nothing, before an honest pipeline is let end


def _run(*programs: str, pipes: Sequence[Pipe] = AROUND) -> list[Outcome]:
    return results([job(text, limits=PATIENT) for text in programs], pipes)


def _idle(result: Result, evidence: str) -> bool:
    return result.verdict == "idle" and result.evidence == (evidence,)


def test_two_that_read_from_each_other_are_told_at_once() -> None:
    told = (
        "deadlock: job 0 (python3) waits to read from job 1 (python3), "
        "which waits to read from job 0 (python3)"
    )
    for result in must_end(_run(READS, READS)):
        assert _idle(result, told)
        assert result.wall_seconds < PATIENT["wall_seconds"]


def test_two_that_write_to_each_other_are_told() -> None:
    told = (
        "deadlock: job 0 (python3) waits to write to job 1 (python3), "
        "which waits to write to job 0 (python3)"
    )
    for result in must_end(_run(WRITES, WRITES)):
        assert _idle(result, told)


def test_one_that_waits_for_itself_is_told() -> None:
    (result,) = must_end(_run(READS, pipes=[Pipe(0, "stdout", 0)]))
    told = "deadlock: job 0 (python3) waits to read from job 0 (python3)"
    assert _idle(result, told)


def test_three_in_a_ring_are_told_and_what_they_said_before_is_kept() -> None:
    found = _run("os.write(1, b'a')\n" + READS * 1 + "\n" + READS, READS + "\n" + READS, READS,
                 pipes=RING)  # fmt: skip
    told = (
        "deadlock: job 0 (python3) waits to read from job 2 (python3), "
        "which waits to read from job 1 (python3), which waits to read from job 0 (python3)"
    )
    assert all(_idle(result, told) for result in must_end(found))
    assert found[0].stdout == b"a"


def test_a_writer_whose_reader_waits_for_a_third_is_told() -> None:
    """Full pipes from 0 to 1, which reads from nobody but waits for room to 2, which waits for 0:
    that one writes, and says no more elsewhere."""
    found = _run(WRITES, WRITES, WRITES, pipes=RING)
    assert {result.verdict for result in must_end(found)} == {"idle"}
    assert found[0].result.evidence[0].count("waits to write to") == 3


def test_reads_and_writes_are_told_apart() -> None:
    """0 writes all that 1 does not read, for that reads from 2 (stderr of 0), which has nothing."""
    pipes = (Pipe(0, "stdout", 1), Pipe(1, "stdout", 2), Pipe(2, "stdout", 0))
    found = _run("while True: os.write(1, b'x' * 4096)", "while True: os.write(1, os.read(0, 1))",
                 "while True: os.write(1, os.read(0, 1) * 2)", pipes=pipes)  # fmt: skip
    # What goes around doubles, until every pipe is full.
    assert {result.verdict for result in must_end(found)} == {"idle"}


def test_who_waits_for_a_deadlock_and_is_not_in_it_goes_on_by_its_end() -> None:
    pipes = (*AROUND, Pipe(1, "stderr", 2))
    found = _run(READS, READS, "print(len(sys.stdin.read()))", pipes=pipes)
    first, second, third = must_end(found)
    assert (first.verdict, second.verdict) == ("idle", "idle")
    assert (third.verdict, third.exit_code, found[2].stdout) == ("exited", 0, b"0\n")


def test_a_deadlock_beside_a_busy_member_is_told() -> None:
    pipes = (*AROUND, Pipe(1, "stderr", 2))
    burns = """
os.set_blocking(0, False)
while True:
    try:
        if not os.read(0, 1):
            break
    except BlockingIOError:
        pass
"""
    found = _run(READS, READS, burns, pipes=pipes)
    first, second, third = must_end(found)
    assert (first.verdict, second.verdict, third.verdict) == ("idle", "idle", "exited")


def test_threads_that_wait_for_a_reading_one_are_told() -> None:
    threads = f"""
lock = threading.Lock()
lock.acquire()
threading.Thread(target=lock.acquire).start()
{READS}
"""
    assert {result.verdict for result in must_end(_run(threads, READS))} == {"idle"}


def test_a_shell_that_waits_for_its_reading_child_is_told() -> None:
    shell = Job((b"/bin/sh", b"-c", b"cat; true"), "shell", limits=PATIENT)
    found = results([shell, job(READS, limits=PATIENT)], AROUND)
    assert found[0].must_end().evidence == (
        "deadlock: job 0 (sh) waits to read from job 1 (python3), "
        "which waits to read from job 0 (sh)",
    )


POLLS = "import select\np = select.poll()\np.register(0, select.POLLIN)\n"


def test_a_poll_without_an_end_is_a_wait() -> None:
    assert {result.verdict for result in must_end(_run(POLLS + "p.poll()", READS))} == {"idle"}


# Each is in a cycle with one that reads from it, for a while; then the first one answers.
HONEST = {
    "one sleeps": "time.sleep({0})",
    "one polls with an end": POLLS + "p.poll({0} * 1000)",
    "one selects with an end": "import select\nselect.select([0], [], [], {0})",
    "one waits for a lock with an end beside a reading thread": (
        "threading.Thread(target=os.read, args=(0, 1), daemon=True).start()\n"
        "lock = threading.Lock()\nlock.acquire()\nlock.acquire(timeout={0})"
    ),
    "one thread sleeps beside a reading one": (
        "threading.Thread(target=os.read, args=(0, 1), daemon=True).start()\ntime.sleep({0})"
    ),
    "one has a thread that sleeps while the first reads": (
        "def answer():\n    time.sleep({0})\n    os.write(1, b'.')\n    os._exit(0)\n"
        "threading.Thread(target=answer).start()\nos.read(0, 1)"
    ),
    "one child sleeps": "if os.fork() == 0:\n    time.sleep({0})\n    os._exit(0)\nos.wait()",
    "one waits for its alarm": (
        "import signal\nclass Woken(Exception): pass\n"
        "def wake(*_): raise Woken\n"
        "signal.signal(signal.SIGALRM, wake)\nsignal.setitimer(signal.ITIMER_REAL, {0})\n"
        "try: os.read(0, 1)\nexcept Woken: pass"
    ),
    "one waits for a timerless signal of its child": (
        "import signal\nclass Woken(Exception): pass\n"
        "def wake(*_): raise Woken\n"
        "signal.signal(signal.SIGUSR1, wake)\nparent = os.getpid()\n"
        "if os.fork() == 0:\n    time.sleep({0})\n    os.kill(parent, 10)\n    os._exit(0)\n"
        "try: os.read(0, 1)\nexcept Woken: pass"
    ),
    "one waits at a fifo of its own": (
        "os.mkfifo('f')\nif os.fork() == 0:\n    time.sleep({0})\n    open('f', 'w').close()\n"
        "    os._exit(0)\nopen('f').read()"
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_no_deadlock_where(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _count_looks(monkeypatch)
    text = HONEST[name].format(1.5) + "\nos.write(1, b'.')"
    jobs = [job(text, limits=PATIENT), job(READS, limits=PATIENT)]
    if "fork" in text:
        jobs[0] = jobs[0]._replace(policy="shell")
    for result in must_end(results(jobs, AROUND)):
        assert (result.verdict, result.exit_code) == ("exited", 0)
    assert seen, "nobody looked"


def test_no_deadlock_where_one_computes() -> None:
    computes = "end = time.monotonic() + 1.5\nwhile time.monotonic() < end: pass"
    for result in must_end(_run(computes + "\nos.write(1, b'.')", READS)):
        assert (result.verdict, result.exit_code) == ("exited", 0)


def test_no_deadlock_where_one_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has stopped it may do anything with it; and it is told once it goes on."""
    seen = _count_looks(monkeypatch)

    async def meet(piped: list[Piped]) -> None:
        await piped[0].started.wait()
        await until(lambda: _is_reading(piped[0]))
        piped[0].live.signal(signal.SIGSTOP)
        await until(lambda: _is_reading(piped[1]))
        seen.clear()
        await until(lambda: len(seen) >= LOOKS)
        assert not piped[0].ended.is_set() and not piped[1].ended.is_set()
        piped[0].live.signal(signal.SIGCONT)

    jobs = [job(READS, limits=PATIENT), job("time.sleep(1)\n" + READS, limits=PATIENT)]
    assert {result.verdict for result in must_end(results(jobs, AROUND, meet))} == {"idle"}


def _is_reading(one: Piped) -> bool:
    path = Path(f"/proc/{one.live._sandbox._stub_pid}/wchan")
    return one.live is not None and "pipe_read" in path.read_text()


def test_no_deadlock_in_a_line_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _count_looks(monkeypatch)
    line = (Pipe(0, "stdout", 1), Pipe(1, "stdout", 2))
    found = _run("time.sleep(0.5)", "sys.stdin.read()", "sys.stdin.read()", pipes=line)
    assert {result.verdict for result in must_end(found)} == {"exited"}
    assert not seen


def test_a_full_pipe_to_a_slow_reader_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = _count_looks(monkeypatch)
    found = _run(
        "os.write(1, b'x' * 300_000)",
        "time.sleep(1.5)\nprint(len(sys.stdin.read()), file=sys.stderr)",
    )
    assert {result.verdict for result in must_end(found)} == {"exited"}
    assert (found[1].stderr, bool(seen)) == (b"300000\n", True)


def test_a_recorder_that_waits_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it was given goes on only afterwards, while both jobs wait."""
    seen = _count_looks(monkeypatch)

    class Slow(Piped):
        async def _sink(self, stream: str, data: bytes) -> None:
            await until(lambda: len(seen) >= LOOKS)

    async def main() -> list[Outcome]:
        first = job("os.write(1, b'.')\nos.read(0, 1)", limits=PATIENT)
        second = job("os.write(1, os.read(0, 1))", limits=PATIENT)
        async with resident() as here:
            return await run_piped(here, [Slow(first), Piped(second)], AROUND)

    for result in must_end(trio.run(main)):
        assert (result.verdict, result.exit_code) == ("exited", 0)


def test_a_killed_lookout_is_replaced() -> None:
    async def main() -> list[Outcome]:
        async with resident() as here:
            lookout = here.ground.lookout
            await lookout.look([os.getpid()])
            os.kill(lookout.pid, signal.SIGKILL)
            piped = [Piped(job(READS, limits=PATIENT)) for _ in AROUND]
            return await run_piped(here, piped, AROUND)

    assert {result.verdict for result in must_end(trio.run(main))} == {"idle"}


async def _cancel_once_noted(piped: list[Piped]) -> None:
    await piped[0].started.wait()
    await until(lambda: piped[0].live._ending.note)
    piped[0].cancellation.set()


def test_where_the_kernel_does_not_tell_the_evidence_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sandbox.supervisor.lookout._TOLD_BY", ("/proc/self/nothing",))
    jobs = [job(READS, limits=PATIENT) for _ in AROUND]
    result, _ = must_end(results(jobs, AROUND, _cancel_once_noted))
    assert result.evidence == (
        "the caller cancelled the job",
        "deadlock: not looked for: this kernel has no /proc/self/nothing",
    )


def test_without_cgroups_the_evidence_says_that_nobody_looked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(V1Job, "pids", AbsentJob.pids)
    monkeypatch.setattr(V2Job, "pids", AbsentJob.pids)
    jobs = [job(READS, limits=PATIENT) for _ in AROUND]
    result, _ = must_end(results(jobs, AROUND, _cancel_once_noted))
    assert re.fullmatch(
        r"deadlock: not looked for: the processes of job \d are not known", result.evidence[1]
    )


def test_a_job_that_nobody_may_look_at_is_let_be_and_told(
    compile_c: Callable, tmp_path: Path
) -> None:
    source = tmp_path / "hidden.c"
    source.write_text(
        "#include <sys/prctl.h>\n#include <unistd.h>\n"
        "int main(void) { char byte; prctl(PR_SET_DUMPABLE, 0); return read(0, &byte, 1); }\n"
    )
    policy = tmp_path / "hiding.toml"
    policy.write_text(
        'extends = "native"\nwhy = "a job that hides"\n'
        '[[syscalls]]\nallow = ["prctl"]\nwhy = "to be hidden"\n'
    )
    hidden = program(compile_c(source))._replace(limits=PATIENT, policy=str(policy))
    jobs = [hidden, job(READS, limits=PATIENT)]
    found = must_end(results(jobs, AROUND, _cancel_once_noted))
    assert [result.verdict for result in found] == ["cancelled", "exited"]
    assert found[0].evidence[1] == (
        "deadlock: not looked for: the kernel lets nobody see what job 0 waits for"
    )


def test_a_process_is_seen_as_it_waits() -> None:
    """Without a supervisor: a process of ours, at each kind of wait."""
    cases = {
        "import os; r, w = os.pipe(); os.read(r, 1)": waits.READ,
        "import os; r, w = os.pipe(); os.write(w, bytes(1 << 20))": waits.WRITE,
        "import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()": waits.OWN,
        "import time; time.sleep(100)": waits.OTHER,
        "import socket; a, b = socket.socketpair(); a.recv(1)": waits.OTHER,
    }
    for text, expected in cases.items():
        text = "import signal; signal.signal(2, signal.SIG_DFL)\n" + text
        with subprocess.Popen([sys.executable, "-I", "-S", "-c", text]) as process:
            try:
                while not (line := waits.look([process.pid])).split()[3].startswith(expected):
                    assert process.poll() is None, line
            finally:
                process.kill()


@pytest.mark.parametrize("machine", waits.CALLS)
def test_the_numbers_of_calls_are_the_kernels(machine: str) -> None:
    arch = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    known = {name: pyseccomp.resolve_syscall(arch, name) for name in waits.CALLS[machine]}
    assert waits.CALLS[machine] == known


def test_who_is_free_frees_all_that_wait_for_it() -> None:
    read = {n: Wait("read from", n) for n in range(6)}
    assert find_deadlocks({}) == []
    assert find_deadlocks({0: frozenset([read[1]])}) == [], "job 1 runs"
    ring = {0: frozenset([read[1]]), 1: frozenset([read[0]])}
    assert find_deadlocks(ring) == [[0, 1]]
    assert find_deadlocks({**ring, 2: frozenset([read[1]])}) == [[0, 1]], "2 sees their end"
    assert find_deadlocks({**ring, 1: frozenset([read[0], read[5]])}) == [], "5 may wake 1"
    two = {2: frozenset([read[3]]), 3: frozenset([read[2]])}
    assert find_deadlocks({**ring, **two}) == [[0, 1], [2, 3]]
    above = {2: frozenset([read[3], read[0]]), 3: frozenset([read[2]])}
    assert find_deadlocks({**ring, **above}) == [[0, 1]], "2 waits for those two also"


def test_a_knot_of_several_waits_is_told_whole() -> None:
    found = {
        0: frozenset([Wait("read from", 1)]),
        1: frozenset([Wait("read from", 0), Wait("write to", 2)]),
        2: frozenset([Wait("read from", 1)]),
    }
    assert tell([0, 1, 2], found, ["a", "b", "c"]) == (
        "deadlock: job 0 (a) waits to read from job 1 (b), which waits to read from job 0 (a) "
        "and to write to job 2 (c); job 2 (c) waits to read from job 1 (b)"
    )


def test_only_a_circle_can_deadlock() -> None:
    assert can_deadlock(AROUND) and can_deadlock(RING) and can_deadlock([Pipe(0, "stdout", 0)])
    assert can_deadlock([*AROUND, Pipe(1, "stderr", 2)])
    assert not can_deadlock([]) and not can_deadlock(RING[:2]) and not can_deadlock(RING[:1])
    assert not can_deadlock([Pipe(0, "stdout", 1), Pipe(0, "stderr", 2), Pipe(1, "stdout", 3)])


def _count_looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    look, seen = deadlock._look, []

    async def counted(*arguments: object) -> object:
        seen.append(1)
        return await look(*arguments)

    monkeypatch.setattr(deadlock, "_look", counted)
    return seen
