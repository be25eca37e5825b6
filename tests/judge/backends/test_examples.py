"""examples/backends: submissions of each verdict, judged by a real server for a fake site."""

import json
import shutil
import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PATIENCE_SECONDS = 120
Start = Callable[..., "subprocess.Popen[bytes]"]

SUM = "print(sum(map(int, input().split())))"
SUBMISSIONS = {
    "AC": ("python", SUM),
    "WA": ("python", "print(7)"),
    "RTE": ("python", "raise SystemExit(3)"),
    "TLE": ("python", "while True: pass"),
    "MLE": ("python", "a = [0]\nwhile True: a += a"),
    "OLE": ("python", "while True: print('x' * 4096)"),
    "CE": ("c", "int main() { return x; }"),
    "JE": ("cobol", ""),
}
TESTS = [("1 2\n", "3\n"), ("3 4\n", "7 \n")]
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc on this host")


class Queue:
    """The queue: hands out every submission once, and keeps what it is told."""

    def __init__(self) -> None:
        self.waiting = list(SUBMISSIONS)
        self.told: dict[str, Any] = {}
        queue = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Authorization"] == "Bearer token"
                status, answer = queue.answer(self.path, json.loads(body))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def answer(self, path: str, body: Any) -> tuple[int, bytes]:
        if path != "/claim":
            self.told[path] = body
            return 200, b""
        if not self.waiting:
            return 410, b""
        language, source = SUBMISSIONS[self.waiting.pop(0)]
        tests = [{"input": data, "answer": answer} for data, answer in TESTS]
        number = len(SUBMISSIONS) - len(self.waiting) - 1
        return 200, json.dumps({
            "id": str(number), "language": language, "source": source, "time_seconds": 1,
            "memory_bytes": 64 << 20, "tests": tests,
        }).encode()  # fmt: skip


@needs_gcc
def test_a_queue_over_http_gets_each_verdict(start: Start) -> None:
    queue = Queue()
    threading.Thread(target=queue.http.serve_forever, args=(0.01,), daemon=True).start()
    try:
        url = f"http://127.0.0.1:{queue.http.server_address[1]}"
        process = start("http_queue.py", url, QUEUE_TOKEN="token")
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        queue.http.shutdown()
        queue.http.server_close()
    verdicts = {name: queue.told[f"/submissions/{n}/verdict"] for n, name in enumerate(SUBMISSIONS)}
    assert {name: told["verdict"] for name, told in verdicts.items()} == {
        name: name for name in SUBMISSIONS
    }
    assert "x" in verdicts["CE"]["why"] and "cobol" in verdicts["JE"]["why"]
    tested = [path for path in queue.told if "/tests/" in path]
    assert len(tested) == 2 + 5, "the first test that fails is the last one"
    assert queue.told["/submissions/0/tests/1"]["memory_bytes"] > 0


class Site:
    """One end of DMOJ's bridge."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_SECONDS)
        self._connection, self._file = connection, connection.makefile("rb")

    def send(self, name: str, **fields: Any) -> None:
        packed = zlib.compress(json.dumps({"name": name, **fields}).encode())
        self._connection.sendall(struct.pack("!I", len(packed)) + packed)

    def receive(self) -> dict[str, Any]:
        (size,) = struct.unpack("!I", self._file.read(4))
        return json.loads(zlib.decompress(self._file.read(size)))

    def graded(
        self, number: int, language: str, source: str, **fields: Any
    ) -> list[dict[str, Any]]:
        """Every packet about a submission, up to the one that ends it."""
        self.send("submission-request", **{
            "submission-id": number, "problem-id": "sum", "language": language, "source": source,
            "time-limit": 1, "memory-limit": 65536, "short-circuit": False, "meta": {}, **fields,
        })  # fmt: skip
        packets = [self.receive()]
        while packets[-1]["name"] not in ("grading-end", "compile-error", "internal-error"):
            packets.append(self.receive())
        assert {packet["submission-id"] for packet in packets} == {number}
        assert packets[0]["name"] == "submission-acknowledged"
        return packets[1:]


@needs_gcc
def test_a_dmoj_site_gets_each_status(start: Start, tmp_path: Path) -> None:
    (tmp_path / "sum").mkdir()
    for number, (data, answer) in enumerate(TESTS, 1):
        (tmp_path / "sum" / f"{number}.in").write_text(data)
        (tmp_path / "sum" / f"{number}.out").write_text(answer)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE_SECONDS)
        process = start("dmoj.py", "127.0.0.1", listener.getsockname()[1], "judge-1", tmp_path,
                        DMOJ_KEY="key")  # fmt: skip
        site = Site(listener.accept()[0])
    hello = site.receive()
    assert (hello["name"], hello["id"], hello["key"]) == ("handshake", "judge-1", "key")
    assert [problem for problem, _ in hello["problems"]] == ["sum"]
    site.send("handshake-success")
    site.send("ping", when=1.5)
    assert site.receive()["when"] == 1.5

    expected = {"AC": 0, "WA": 1, "RTE": 2, "TLE": 4, "MLE": 8, "OLE": 64}
    for number, (name, status) in enumerate(expected.items(), 1):
        packets = site.graded(number, "PY3", SUBMISSIONS[name][1])
        assert packets[0]["name"] == "grading-begin"
        cases = [case for packet in packets[1:-1] for case in packet["cases"]]
        assert [case["position"] for case in cases] == [1, 2]
        assert cases[0]["status"] == status
        assert cases[0]["points"] == (name == "AC")
    wrong = site.graded(7, "PY3", SUBMISSIONS["WA"][1], **{"short-circuit": True})
    assert [packet["cases"][0]["status"] for packet in wrong[1:-1]] == [1, 32]
    [refused] = site.graded(8, "C11", SUBMISSIONS["CE"][1])
    assert refused["name"] == "compile-error" and "x" in refused["log"]
    [failed] = site.graded(9, "PY3", SUM, **{"problem-id": "../sum"})
    assert failed["name"] == "internal-error"
    site.send("disconnect")
    assert process.wait(PATIENCE_SECONDS) == 0
