"""The lookout: a question gets its own answer, whatever became of the one before."""

import errno
import os
from typing import Any

import pytest
from supervisor.resident import TRUE, resident
from trio.testing import trio_test

from sandbox.spec.errors import SetupError
from sandbox.supervisor import lookout


@trio_test
async def test_an_answer_that_is_not_received_is_not_taken_for_the_next_one(
    monkeypatch: pytest.MonkeyPatch, leftovers: None
) -> None:
    async with resident(None) as here:
        (await here.run(TRUE)).must_end()
        receive, see = lookout.socket.recv_fds, lookout.Lookout.see_and_listen
        seen: list[tuple[str, str]] = []

        def fail(*_: object) -> None:
            monkeypatch.setattr(lookout.socket, "recv_fds", receive)
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

        async def spy(asked: lookout.Lookout, pids: tuple[int, ...], *rest: Any) -> Any:
            found, fd = await see(asked, pids, *rest)
            for pid, links in zip(pids, found, strict=True):
                seen.append((links["net"], os.readlink(f"/proc/{pid}/ns/net")))  # noqa: PTH115
            return found, fd

        monkeypatch.setattr(lookout.socket, "recv_fds", fail)
        monkeypatch.setattr(lookout.Lookout, "see_and_listen", spy)
        outcome = await here.run(TRUE)
        assert isinstance(outcome.error, SetupError), "control"
        assert "Cannot allocate memory" in str(outcome.error)
        for _ in range(3):
            assert (await here.run(TRUE)).must_end().exit_code == 0
        assert len(seen) == 6
        assert all(told == true for told, true in seen)
