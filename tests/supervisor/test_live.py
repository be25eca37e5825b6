"""A running job in its caller's hand: signals reach it, its terminal has a size."""

import signal
from collections.abc import Callable

import pytest
import trio
from supervisor.resident import HELD, TRUE, Held, Outcome, Resident, python, resident, until

from sandbox.kernel.processes import pidfd_send_signal
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.spec.job import Job
from sandbox.supervisor.live import Live

pytestmark = pytest.mark.usefixtures("leftovers")

HANDLES = """
import signal
signal.signal(signal.SIGUSR1, lambda *_: print("heard", flush=True))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("up", flush=True)
while True:
    signal.sigwait([signal.SIGUSR1])
    print("heard", flush=True)
"""
SIZES = """
import os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])
print("up", flush=True)
while True:
    signal.sigwait([signal.SIGWINCH])
    print(*os.get_terminal_size(1), flush=True)
"""
BURNS = """
import time
held = bytearray(b"x" * (20 << 20))
while time.process_time() < 0.3:
    pass
print("up", flush=True)
time.sleep(60)
"""


async def _with_live(
    here: Resident, job: Job, meet: Callable[[Live, trio.MemoryReceiveChannel], object]
) -> Outcome:
    """The outcome of a job that `meet` is called for with its handle, and with what it writes."""
    written, pieces = trio.open_memory_channel[bytes](1000)
    handles: list[Live] = []
    outcomes: list[Outcome] = []

    async def sink(_stream: str, data: bytes) -> None:
        await written.send(data)

    async with trio.open_nursery() as nursery:

        async def run() -> None:
            outcomes.append(await here.run(job, sink=sink, started=handles.append))

        nursery.start_soon(run)
        await until(lambda: handles)
        await meet(handles[0], pieces)
    return outcomes[0]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, 64])
def test_a_signal_ends_a_job_that_has_no_handler(number: int) -> None:
    async def main() -> Outcome:
        async with resident() as here:
            held = Held()
            return await here.run(
                HELD, stdin=held.stdin(), sink=held.sink, started=lambda live: live.signal(number)
            )

    result = trio.run(main).must_end()
    assert (result.verdict, result.signal) == ("signaled", number)


def test_a_signal_given_before_the_exec_meets_the_payload_and_not_the_stub() -> None:
    async def main() -> Outcome:
        async with resident() as here:
            (sandbox,) = await here.parked(1, TRUE)
            pidfd_send_signal(sandbox._stub_pidfd, signal.SIGSTOP)  # it executes nothing yet

            def start(live: Live) -> None:
                live.signal(signal.SIGTERM)
                pidfd_send_signal(sandbox._stub_pidfd, signal.SIGCONT)

            return await here.run(HELD, stdin=Held().stdin(), started=start)

    result = trio.run(main).must_end()
    assert (result.verdict, result.signal) == ("signaled", signal.SIGTERM)


def test_a_job_ended_before_its_exec_has_its_verdict_and_is_no_failure() -> None:
    async def main() -> Outcome:
        async with resident() as here:
            (sandbox,) = await here.parked(1, TRUE)
            pidfd_send_signal(sandbox._stub_pidfd, signal.SIGSTOP)
            return await here.run(TRUE, started=lambda live: live.end("idle", "so early"))

    result = trio.run(main).must_end()
    assert (result.verdict, result.evidence) == ("idle", ("so early",))


def test_a_handler_hears_each_signal_and_the_job_goes_on() -> None:
    async def meet(live: Live, pieces: trio.MemoryReceiveChannel) -> None:
        assert await pieces.receive() == b"up\n"
        for _ in range(3):
            live.signal(signal.SIGUSR1)
            assert await pieces.receive() == b"heard\n"
        live.signal(signal.SIGKILL)

    async def main() -> Outcome:
        async with resident() as here:
            return await _with_live(here, python(HANDLES), meet)

    result = trio.run(main).must_end()
    assert (result.verdict, result.signal) == ("signaled", signal.SIGKILL)


def test_a_stopped_job_uses_no_time_until_it_is_continued() -> None:
    async def meet(live: Live, pieces: trio.MemoryReceiveChannel) -> None:
        await pieces.receive()
        live.signal(signal.SIGSTOP)
        await until(lambda: len({live.usage().cpu_seconds for _ in range(3)}) == 1)
        live.signal(signal.SIGCONT)
        before = live.usage().cpu_seconds
        await until(lambda: live.usage().cpu_seconds > before)
        live.signal(signal.SIGTERM)

    async def main() -> Outcome:
        async with resident() as here:
            program = "import os\nos.write(1, b'up')\nwhile True: pass"
            return await _with_live(here, python(program), meet)

    assert trio.run(main).must_end().signal == signal.SIGTERM


def test_a_terminal_has_the_size_that_it_was_given_last() -> None:
    async def meet(live: Live, pieces: trio.MemoryReceiveChannel) -> None:
        assert await pieces.receive() == b"up\r\n"
        for rows, columns in ((24, 80), (50, 132)):
            live.resize(rows, columns)
            assert await pieces.receive() == b"%d %d\r\n" % (columns, rows)
        with pytest.raises(SpecError, match="rows: -1 is not from 0 to 65535"):
            live.resize(-1, 80)
        live.signal(signal.SIGKILL)

    async def main() -> None:
        async with resident() as here:
            await _with_live(here, python(SIZES)._replace(tty=True), meet)

    trio.run(main)


def test_a_job_without_a_terminal_has_no_size() -> None:
    async def meet(live: Live, _pieces: trio.MemoryReceiveChannel) -> None:
        with pytest.raises(SpecError, match="tty: the job was started without a terminal"):
            live.resize(24, 80)
        with pytest.raises(SpecError, match="signal: 0 is none; signals are 1 to 64"):
            live.signal(0)
        live.signal(signal.SIGKILL)

    async def main() -> None:
        async with resident() as here:
            await _with_live(here, python("import time; time.sleep(60)"), meet)

    trio.run(main)


def test_what_a_job_uses_is_seen_while_it_runs() -> None:
    async def meet(live: Live, pieces: trio.MemoryReceiveChannel) -> None:
        await pieces.receive()
        usage = live.usage()
        assert 0.2 <= usage.cpu_seconds < 2
        assert 20 << 20 <= usage.memory_bytes < 200 << 20
        assert usage.processes == 1
        live.signal(signal.SIGKILL)

    async def main() -> None:
        async with resident() as here:
            await _with_live(here, python(BURNS), meet)

    trio.run(main)


def test_a_job_ended_by_its_handle_has_that_verdict_and_evidence() -> None:
    async def main() -> Outcome:
        async with resident() as here:
            held = Held()

            def end(live: Live) -> None:
                live.end("idle", "told from outside")
                live.end("cancelled", "too late")

            return await here.run(HELD, stdin=held.stdin(), sink=held.sink, started=end)

    result = trio.run(main).must_end()
    assert (result.verdict, result.evidence) == ("idle", ("told from outside",))


def test_the_handle_of_a_job_that_is_over_refuses() -> None:
    async def main() -> Live:
        handles: list[Live] = []
        async with resident() as here:
            (await here.run(TRUE, started=handles.append)).must_end()
            _refuses_all(handles[0])
        return handles[0]

    _refuses_all(trio.run(main))


def _refuses_all(live: Live) -> None:
    for call in (
        lambda: live.signal(15),
        lambda: live.resize(1, 1),
        live.usage,
        lambda: live.end("idle", ""),
    ):
        with pytest.raises(RefusedError, match="the job is over"):
            call()
