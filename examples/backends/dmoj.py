"""A judge for a DMOJ site: dmoj.py HOST PORT NAME PROBLEMS [SANDBOX]

The judge's key is in $DMOJ_KEY. PROBLEMS has a directory a problem, with its tests in it: 1.in and
1.out, and so on. SANDBOX is the address of `sandbox serve`; without it, this user's own.
"""

import json
import os
import socket
import struct
import sys
import threading
import time
import zlib
from pathlib import Path
from queue import SimpleQueue

from grading import Program, build, run

from sandbox import Client, SandboxError

LANGUAGES = {"C11": "c", "CPP17": "cpp", "CPP20": "cpp", "PY3": "python"}  # DMOJ's name -> ours
STATUS = {"AC": 0, "WA": 1, "RTE": 2, "TLE": 4, "MLE": 8, "OLE": 64}
SKIPPED = 32
SIZE = struct.Struct("!I")
MOST_BYTES = 1 << 26
SHOWN_BYTES = 1024


class Site:
    """The connection: each packet is JSON, deflated, behind its length."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address)
        self._file = self._socket.makefile("rb")
        self._lock = threading.Lock()

    def send(self, name: str, **fields: object) -> None:
        packed = zlib.compress(json.dumps({"name": name, **fields}).encode())
        with self._lock:  # of the reader and the grader
            self._socket.sendall(SIZE.pack(len(packed)) + packed)

    def receive(self) -> dict:
        """The next packet. Raises ConnectionError: there is none, or it is too large."""
        head = self._file.read(SIZE.size)
        if len(head) < SIZE.size or SIZE.unpack(head)[0] > MOST_BYTES:
            raise ConnectionError("the site is gone")
        unpacker = zlib.decompressobj()
        text = unpacker.decompress(self._file.read(SIZE.unpack(head)[0]), MOST_BYTES)
        if not unpacker.eof:
            raise ConnectionError("a packet is cut, or too large")
        return json.loads(text)


def read_packets(site: Site, requests: SimpleQueue, aborted: threading.Event) -> None:
    """Answer what cannot wait for the submission that is being graded."""
    try:
        while True:
            packet = site.receive()
            match packet["name"]:
                case "ping":
                    site.send("ping-response", when=packet["when"], time=time.time(), load=0.0)
                case "submission-request":
                    site.send(
                        "submission-acknowledged", **{"submission-id": packet["submission-id"]}
                    )
                    requests.put(packet)
                case "terminate-submission":
                    aborted.set()
                case "disconnect":
                    break
    finally:
        aborted.set()
        requests.put(None)


def grade(
    site: Site, client: Client, packet: dict, tests: list[Path], stop: threading.Event
) -> None:
    """Grade one submission, and say how each test went."""
    about = {"submission-id": packet["submission-id"]}
    program = build(client, LANGUAGES[packet["language"]], packet["source"].encode())
    if not isinstance(program, Program):
        site.send("compile-error", log=program, **about)
        return
    site.send("grading-begin", pretested=False, **about)
    limits = {"cpu_time": float(packet["time-limit"]), "memory": int(packet["memory-limit"]) * 1024}
    has_failed = False
    for position, test in enumerate(tests, 1):
        if stop.is_set():
            site.send("submission-terminated", **about)
            return
        case = {"position": position, "points": 0, "total-points": 1, "extended-feedback": ""}
        if has_failed and packet["short-circuit"]:
            case |= {"status": SKIPPED, "time": 0, "memory": 0, "output": "", "feedback": ""}
        else:
            answer = test.with_suffix(".out").read_bytes()
            done = run(client, program, test.read_bytes(), answer, limits)
            has_failed |= done.verdict != "AC"
            case |= {
                "status": STATUS[done.verdict],
                "points": int(done.verdict == "AC"),
                "time": done.cpu_seconds,
                "memory": done.memory_bytes // 1024,
                "output": done.stdout[:SHOWN_BYTES].decode(errors="replace"),
                "feedback": done.why,
            }
        site.send("test-case-status", cases=[case], **about)
    site.send("grading-end", **about)


def main(host: str, port: str, name: str, problems: str, address: str | None = None) -> None:
    directories = {path.name: path for path in Path(problems).iterdir() if path.is_dir()}
    site = Site((host, int(port)))
    site.send("handshake", id=name, key=os.environ["DMOJ_KEY"],
              problems=[[key, path.stat().st_mtime] for key, path in directories.items()],
              executors={key: [] for key in LANGUAGES})  # fmt: skip
    if site.receive()["name"] != "handshake-success":
        sys.exit("the site does not take our key")
    requests: SimpleQueue[dict | None] = SimpleQueue()
    aborted = threading.Event()
    reader = (site, requests, aborted)
    threading.Thread(target=read_packets, args=reader, daemon=True).start()
    with Client(address) as client:
        while (packet := requests.get()) is not None:
            aborted.clear()
            try:
                # Only a problem that is there: the name comes from the site, and is no path.
                tests = sorted(directories[packet["problem-id"]].glob("*.in"))
                grade(site, client, packet, tests, aborted)
            except (SandboxError, KeyError, OSError) as error:  # not the submission's fault
                site.send("internal-error", message=repr(error),
                          **{"submission-id": packet["submission-id"]})  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    main(*sys.argv[1:])
