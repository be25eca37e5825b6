"""`sandbox serve` as a process beside the bench: of an installed copy, with a state of its own."""

import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Daemon", "serving"]

_START_SECONDS = 30.0
_END_SECONDS = 90.0
_NOTICE_BYTES = 4096


class Daemon:
    """A daemon that may be ended, killed and started again on the same state."""

    def __init__(self, package: Path, directory: Path, config: str = "") -> None:
        """`package`: where `python -m sandbox` is started. `directory`: exists, for all that it
        keeps. `config`: more of serve.toml."""
        self.state = directory / "state"
        self.path = directory / "socket"
        self.address = f"unix:{self.path}"
        self.where = ""  # it listens, as it says itself
        self._package = package
        self._config = directory / "serve.toml"
        self._config.write_text(f"[state]\nresults_seconds = 86400\n{config}")
        self._config.chmod(0o600)
        self._log = directory / "log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def tcp(self) -> tuple[str, int]:
        """Where it listens in clear."""
        place = next(word for word in self.where.split() if word.startswith("tcp:"))
        _, host, port = place.split(":")
        return host, int(port)

    def start(self, *, quiet: bool = True) -> None:
        """Start it, and wait until it listens. OSError: it does not. `quiet`: without a log."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notices:
            name = f"{self._config.parent}/notices"
            Path(name).unlink(missing_ok=True)
            notices.bind(name)
            with (Path(os.devnull) if quiet else self._log).open("ab") as log:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "sandbox", "serve", "--config", self._config,
                     "--socket", self.path, "--state", self.state],
                    cwd=self._package,
                    env={**os.environ, "NOTIFY_SOCKET": name},
                    stderr=log,
                )  # fmt: skip
            self._wait_until_ready(notices)

    def _wait_until_ready(self, notices: socket.socket) -> None:
        pidfd = os.pidfd_open(self.pid)
        try:
            while True:
                ready, _, _ = select.select([notices, pidfd], [], [], _START_SECONDS)
                if notices not in ready:
                    raise OSError("the daemon does not start" if ready else "the daemon hangs")
                lines = notices.recv(_NOTICE_BYTES).decode().splitlines()
                if "READY=1" in lines:
                    self.where = next(line[7:] for line in lines if line.startswith("STATUS="))
                    return
        finally:
            os.close(pidfd)

    def end(self) -> int:
        """Have it drain and end: its exit code."""
        return self._finish(signal.SIGTERM)

    def kill(self) -> None:
        """End it as the out-of-memory killer would."""
        self._finish(signal.SIGKILL)

    def _finish(self, number: signal.Signals) -> int:
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(_END_SECONDS)
        self._process = None
        return code

    def close(self) -> None:
        """End it if it runs."""
        if self._process is not None:
            self.end()


@contextmanager
def serving(
    package: Path, directory: Path, config: str = "", *, quiet: bool = True
) -> Iterator[Daemon]:
    """A daemon for as long as this lasts. OSError: it does not start."""
    directory.mkdir()
    daemon = Daemon(package, directory, config)
    try:
        daemon.start(quiet=quiet)
        yield daemon
    finally:
        daemon.close()
