"""A daemon of the tests' own: `sandbox serve` as a program, ready when a test begins."""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Daemon", "serving"]

_TOKEN = "for-tests-only"
_PATIENCE_SECONDS = 60


class Daemon(NamedTuple):
    """Where it listens. By the socket, a client is its own user; with the token, tenant "ci"."""

    socket: Path
    port: int  # of 127.0.0.1, in clear
    token: str
    process: subprocess.Popen[bytes]


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[Daemon]:
    """A daemon that keeps everything in `directory`, and ends with the block."""
    config, log = directory / "serve.toml", directory / "log"
    config.write_text(f"""
        [listen]
        socket = "sock"
        tcp = "127.0.0.1:0"
        clear = true
        [state]
        directory = "state"
        [tenants.ci]
        tokens = ["sha256:{hashlib.sha256(_TOKEN.encode()).hexdigest()}"]
    """)
    config.chmod(0o600)
    # As systemd does it: the daemon says when it is ready, and where.
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified, log.open("wb") as output:
        notified.bind(str(directory / "notify"))
        notified.settimeout(_PATIENCE_SECONDS)
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "serve", "--config", config],
            env={**os.environ, "NOTIFY_SOCKET": str(directory / "notify")},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            try:
                ready = notified.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"the daemon did not begin: {log.read_text()}") from None
            assert "READY=1" in ready, ready
            port = int(ready.split("tcp:127.0.0.1:")[1].split()[0])
            yield Daemon(directory / "sock", port, _TOKEN, process)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(_PATIENCE_SECONDS)
    assert process.returncode == 0, log.read_text()
