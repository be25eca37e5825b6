"""sd_notify: what a service manager is told, and that a missing one is no trouble."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trio.testing

from sandbox.server.notify import Notifier


class Manager:
    """The socket of a service manager."""

    def __init__(self, address: str) -> None:
        self.name = address.replace("\0", "@", 1)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(address)

    def told(self) -> dict[str, str] | None:
        """The next message, or None."""
        try:
            message = self._socket.recv(65536).decode()
        except BlockingIOError:
            return None
        assert message.endswith("\n")
        return dict(line.split("=", 1) for line in message.splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    name = "notify" if request.param == "path" else f"sandbox-test-{os.getpid()}"
    found = Manager(str(tmp_path / name) if request.param == "path" else f"\0{name}")
    yield found
    found.close()


def test_a_manager_hears_of_every_state(manager: Manager) -> None:
    notifier = Notifier(manager.name, None)
    notifier.ready("2 jobs run")
    assert manager.told() == {"READY": "1", "STATUS": "2 jobs run"}
    notifier.reloading()
    told = manager.told()
    assert told is not None and told["RELOADING"] == "1"
    assert int(told["MONOTONIC_USEC"]) > 0
    notifier.ready()
    assert manager.told() == {"READY": "1"}
    notifier.stopping(2.5, "drains")
    assert manager.told() == {"STOPPING": "1", "EXTEND_TIMEOUT_USEC": "2500000", "STATUS": "drains"}
    notifier.close()
    notifier.status("too late")
    assert manager.told() is None


def test_a_status_is_one_line_whatever_it_holds(manager: Manager) -> None:
    notifier = Notifier(manager.name, None)
    notifier.status("a\nREADY=1\x1b[31m\udcff" + "x" * 1000)
    told = manager.told()
    assert told is not None and set(told) == {"STATUS"}
    assert told["STATUS"].startswith("a\\nREADY=1\\x1b[31m\\udcffxxx") and len(told["STATUS"]) < 300
    notifier.close()


def test_the_variables_are_read_once_and_are_no_childs() -> None:
    pid = str(os.getpid())
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": pid, "A": "b"}
    notifier = Notifier.from_environment(environ)
    assert environ == {"A": "b"}
    assert notifier.watchdog_seconds == 3.0
    notifier.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"NOTIFY_SOCKET": ""},
        {"NOTIFY_SOCKET": "@"},
        {"NOTIFY_SOCKET": "relative/path"},
        {"NOTIFY_SOCKET": "vsock:2:1234"},
        {"NOTIFY_SOCKET": "/nowhere/at/all", "WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"},
        {"NOTIFY_SOCKET": "/" + "x" * 1000, "WATCHDOG_USEC": "-3"},
        {"NOTIFY_SOCKET": "/\udcff", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "many"},
        {"WATCHDOG_USEC": "1000000"},
    ],
    ids=repr,
)
def test_nobody_who_listens_is_no_trouble(environ: dict[str, str]) -> None:
    notifier = Notifier.from_environment(environ)
    assert notifier.watchdog_seconds is None
    notifier.ready("x")
    notifier.stopping(1)
    trio.run(notifier.keep_alive)  # returns: there is no watchdog
    notifier.close()
    notifier.close()


def test_a_manager_that_does_not_read_stops_nobody(manager: Manager) -> None:
    notifier = Notifier(manager.name, None)
    for _ in range(1000):  # far more than a socket holds (net.unix.max_dgram_qlen)
        notifier.status("x")
    assert manager.told() == {"STATUS": "x"}
    notifier.close()


def test_the_watchdog_is_fed_twice_in_its_time(manager: Manager) -> None:
    notifier = Notifier(manager.name, 10.0)
    clock = trio.testing.MockClock()

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(notifier.keep_alive)
            await trio.testing.wait_all_tasks_blocked()
            assert manager.told() == {"WATCHDOG": "1"}
            clock.jump(4.9)
            await trio.testing.wait_all_tasks_blocked()
            assert manager.told() is None
            clock.jump(0.2)
            await trio.testing.wait_all_tasks_blocked()
            assert manager.told() == {"WATCHDOG": "1"}
            nursery.cancel_scope.cancel()

    trio.run(main, clock=clock)
    notifier.close()
