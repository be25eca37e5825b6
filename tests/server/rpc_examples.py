"""A call of every method, for docs/rpc.md: recorded there, and made again to be compared.

Record them anew:
PYTHONPATH=.:tests python tests/server/rpc_examples.py docs/rpc/examples.txt
"""

import hashlib
import os
import pprint
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from server.daemon import Client, Daemon

__all__ = ["Example", "Peer", "everywhere", "record"]

Example = dict[str, Any]

_SCRIPT = b"tr a-z A-Z\n"
_WAIT = {"wait_seconds": 30.0}


class Peer(Client):
    """A client that keeps what was said."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.examples: dict[str, Example] = {}

    def call(self, method: str, *, name: str | None = None, **params: Any) -> Any:
        """What is answered, or the error. The first call of a method is its example.

        `name`: of this example, if it is not the method's.
        """
        msgid = self.begin(method, **params)
        while msgid not in self._answers:
            self._receive()
        response = self._answers.pop(msgid)
        example = {"method": method, "params": params}
        told = {"answer": response.result} if response.error is None else {"error": response.error}
        self.examples.setdefault(name or method, example | told | {"pushed": []})
        return response.result if response.error is None else response.error

    def pushed(self, method: str) -> None:
        """Wait for a notification; it belongs to the example of `method`."""
        while not self.notifications:
            self._receive()
        notification = self.notifications.pop(0)
        self.examples[method]["pushed"].append((notification.method, notification.params[0]))


def _converse(peer: Peer) -> None:
    """Call every method; server.drain is the last."""
    peer.call("server.hello")
    peer.call("server.info")
    sha256 = hashlib.sha256(_SCRIPT).hexdigest()
    peer.call("blob.put", sha256=sha256, bytes=len(_SCRIPT), offset=0, data=_SCRIPT)
    peer.call("blob.stat", sha256=sha256)
    peer.call("blob.list")
    peer.call("job.submit", name="error", job={"comand": ["sh", "shout.sh"]})
    job = {
        "command": ["sh", "shout.sh"],
        "limits": {"memory": "64MiB", "cpu_time": 2},
        "ro": [{"blob": sha256, "destination": "shout.sh"}],
    }
    submitted = peer.call("job.submit", job=job, stdin=b"hello\n", key="submission-7", **_WAIT)
    shouted = {"job": submitted["job"]}
    peer.call("job.status", **shouted)
    peer.call("job.wait", **shouted, **_WAIT)
    peer.call("job.result", **shouted)
    peer.call("job.read", **shouted, stream="stdout", offset=2)
    _speak_with_a_running_job(peer)
    _speak_with_a_terminal(peer)
    peer.call("job.list", state="ended", most=2)
    pipeline = {
        "jobs": [{"command": ["seq", "3"]}, {"command": ["wc", "-l"]}],
        "pipes": [{"from": 0, "to": 1}],
    }
    peer.call("pipeline.submit", **pipeline, **_WAIT)
    peer.call("job.delete", **shouted)
    peer.call("blob.delete", sha256=sha256)
    peer.call("server.metrics")
    peer.call("server.reload")
    peer.call("server.drain", deadline_seconds=10.0)


def _speak_with_a_running_job(peer: Peer) -> None:
    job = {"command": ["tee", "copy"], "collect": [{"path": "copy"}]}
    submitted = peer.call("job.submit", job=job, stdin_open=True, label="live")
    running = {"job": submitted["job"]}
    opened = peer.call("stream.open", **running, stream="stdout", offset=0, credit_bytes=4)
    peer.call("job.write", **running, offset=0, data=b"hello\n")
    peer.pushed("stream.open")
    peer.call("stream.grant", subscription=opened["subscription"], credit_bytes=65536)
    peer.pushed("stream.grant")
    peer.call("stream.close", subscription=opened["subscription"])
    peer.call("job.stats", **running)
    peer.call("job.signal", **running, signal=int(signal.SIGCONT))
    peer.call("job.write", **running, offset=6, end=True)
    peer.call("job.wait", **running, **_WAIT)
    peer.call("job.read_artifact", **running, path=b"/work/copy", offset=0)


def _speak_with_a_terminal(peer: Peer) -> None:
    job = {"command": ["sh", "-c", "echo ready; exec cat"], "tty": True}
    shown = {"job": peer.call("job.submit", job=job, stdin_open=True)["job"]}
    peer.call("job.read", **shown, stream="stdout", offset=0, **_WAIT)
    peer.call("job.resize", **shown, rows=40, columns=132)
    peer.call("job.cancel", **shown)
    peer.call("job.wait", **shown, **_WAIT)


def everywhere(value: Any) -> Any:
    """`value` without what tells where it was recorded."""
    if isinstance(value, dict):
        kernel = {"kernel": value["kernel"].split("-")[0]} if "kernel" in value else {}
        return {key: everywhere(item) for key, item in (value | kernel).items()}
    if isinstance(value, list | tuple):
        return [everywhere(item) for item in value]
    return "uid-1000" if value == f"uid-{os.getuid()}" else value


def record(directory: Path, converse: Callable[[Peer], None] = _converse) -> dict[str, Example]:
    """What a new daemon answers, that keeps its files in `directory`.

    `converse`: calls it, and has it drain at last.
    """
    daemon = Daemon(directory)
    try:
        daemon.start()
        with Peer(daemon.socket) as peer:
            converse(peer)
        assert daemon.ended() == 0  # it was told to drain
        assert not daemon.bugs()
    finally:
        daemon.close()
    return peer.examples


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        examples = everywhere(record(Path(directory)))
    Path(sys.argv[1]).write_text(pprint.pformat(examples, width=100, sort_dicts=False) + "\n")
