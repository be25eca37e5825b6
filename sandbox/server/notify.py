"""What systemd is told of the server: sd_notify(3), in datagrams to the socket that it names."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

import trio

from sandbox.spec.fields import printable

__all__ = ["Notifier"]

_MOST_STATUS_LENGTH = 256
_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Tells whoever started the server how it is; silent where nobody asked.

    What cannot be sent is lost: a service manager that is gone or busy must not stop the server.
    """

    def __init__(self, address: str | None, watchdog_seconds: float | None) -> None:
        """`address`: a path, or @name for the abstract namespace, unix(7)."""
        self.watchdog_seconds = watchdog_seconds if address else None
        self._address = address and (f"\0{address[1:]}" if address[0] == "@" else address)
        self._socket: socket.socket | None = None
        if address:
            self._socket = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
            )

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str] = os.environ) -> "Notifier":
        """As the service manager asked for it.

        The variables are removed, so call it before the first child: none is to speak for us.
        """
        asked = {name: environ.pop(name, "") for name in _VARIABLES}
        address = asked["NOTIFY_SOCKET"]
        # Others that systemd knows (vsock:) are for virtual machines.
        is_ours = address.startswith(("/", "@")) and len(address) > 1
        return cls(address if is_ours else None, _watchdog_seconds(asked))

    def ready(self, status: str = "") -> None:
        """The server serves; also the end of a reload."""
        self._send({"READY": "1", "STATUS": _line(status)})

    def reloading(self) -> None:
        """The configuration is read again; `ready` follows."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send({"RELOADING": "1", "MONOTONIC_USEC": str(now)})

    def stopping(self, seconds: float, status: str = "") -> None:
        """The server drains, and will have ended after so many seconds; systemd waits so long."""
        extension = str(int(seconds * 1e6))
        self._send({"STOPPING": "1", "EXTEND_TIMEOUT_USEC": extension, "STATUS": _line(status)})

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send({"STATUS": _line(status)})

    async def keep_alive(self) -> None:
        """Feed the watchdog from within the loop, so that a loop that hangs is seen; forever.

        Returns at once where there is no watchdog.
        """
        while self.watchdog_seconds is not None:
            self._send({"WATCHDOG": "1"})
            await trio.sleep(self.watchdog_seconds / 2)  # as sd_watchdog_enabled(3) recommends

    def close(self) -> None:
        """Close the socket; all else is silent from here on. Idempotent."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, fields: Mapping[str, str]) -> None:
        if self._socket is None or self._address is None:
            return
        message = "".join(f"{name}={value}\n" for name, value in fields.items() if value)
        with contextlib.suppress(OSError):
            self._socket.sendto(message.encode("utf-8", "backslashreplace"), self._address)


def _watchdog_seconds(asked: Mapping[str, str]) -> float | None:
    usec, pid = asked["WATCHDOG_USEC"], asked["WATCHDOG_PID"]
    if not (usec.isascii() and usec.isdigit() and int(usec[:19]) > 0):
        return None
    # Set for our parent, which may have left its environment to us; sd_watchdog_enabled(3).
    return int(usec[:19]) / 1e6 if pid in ("", str(os.getpid())) else None


def _line(status: str) -> str:
    return printable(status[:_MOST_STATUS_LENGTH])
