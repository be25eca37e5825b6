"""A small DOMjudge server: accounts, queues, files; and the ways in which one can fail."""

import base64
import json
import socket
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from judge.domjudge.contest import CONFIG, Judging, files_json
from judge.domjudge.fields import complaint

__all__ = ["PASSWORD", "USER", "FakeServer", "Fault", "Reply"]

USER, PASSWORD = "judgehost", "correct horse"
PREFIX = "/api/v4/"


class Reply(NamedTuple):
    """What is sent; `body`: as it is, or as JSON if it is no bytes."""

    status: int = 200
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Fault(NamedTuple):
    """The next requests whose path begins so are answered so, or ("reset", "hang") not at all."""

    path: str
    reply: Reply | str
    count: int = 1
    is_after: bool = False  # the server has done what it was asked, and fails to say so


class FakeServer:
    """Listens on loopback while it is entered. All that it was told is in its attributes."""

    def __init__(self, *judgings: Judging, rows: tuple[dict[str, Any], ...] = ()) -> None:
        self.judgings = {judging.job: judging for judging in judgings}
        self.config = dict(CONFIG)
        self.packets: list[Any] = [[row] for row in rows]  # handed out before the judgings
        self.enabled: dict[str, bool] = {}
        self.errors: list[dict[str, str]] = []
        self.debug: dict[int, dict[str, str]] = {}
        self.requests: list[str] = []
        self.complaints: list[str] = []  # requests that are not as the API has them
        self.faults: list[Fault] = []
        self.files: dict[str, Any] = {}  # what get_files answers, where it is to be another
        self.before: Callable[[str], None] = lambda path: None
        self.assigned: set[int] = set()
        self._lock = threading.Lock()
        self._gone = threading.Event()
        self.port = 0
        self._scheme = "http"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self.port}{PREFIX.rstrip('/')}"

    def count(self, path: str) -> int:
        """How many requests began so."""
        return sum(request.startswith(path) for request in self.requests)

    def __enter__(self) -> "FakeServer":
        self._gone.clear()
        handler = type("Handler", (_Handler,), {"fake": self})
        self._http = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._gone.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def wrap(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self._scheme = "https"

    def take_fault(self, path: str) -> Fault | None:
        with self._lock:
            for n, fault in enumerate(self.faults):
                if path.startswith(fault.path):
                    self.faults[n] = fault._replace(count=fault.count - 1)
                    if fault.count <= 1:
                        del self.faults[n]
                    return fault
        return None

    def wait_until_gone(self) -> None:
        self._gone.wait()

    def answer(self, method: str, path: str, form: dict[str, str]) -> Reply:
        with self._lock:
            self.requests.append(f"{method} {path}")
            if (problem := complaint(method, path, form)) is not None:
                self.complaints.append(problem)
                return Reply(400, {"code": 400, "message": problem})
            name, *rest = path.removeprefix("judgehosts").strip("/").split("/")
            if method == "GET":
                return self._get(path, rest)
            match name:
                case "":
                    return Reply(body=self._give_back(form["hostname"]))
                case "fetch-work":
                    return self._fetch(form)
                case "update-judging":
                    judging = self._judging(int(rest[1]))
                    judging.compiled.append(form)
                    return Reply()
                case "add-judging-run":
                    return self._add_run(int(rest[1]), form)
                case "add-debug-info":
                    self.debug[int(rest[1])] = form
                    return Reply()
                case _:
                    return self._internal_error(form)

    def _get(self, path: str, rest: list[str]) -> Reply:
        if path == "config":
            return Reply(body=self.config)
        if path == "judgehosts":
            hosts = [{"hostname": name, "enabled": on} for name, on in self.enabled.items()]
            return Reply(body=hosts)
        what = "/".join(rest)
        if what in self.files:
            found = self.files[what]
            return found if isinstance(found, Reply) else Reply(body=found)
        kind, _, number = what.partition("/")
        for judging in self.judgings.values():
            if kind == "source" and number == judging.source_path:
                return Reply(body=files_json(judging.sources))
            if kind == "testcase" and number in judging.tests:
                data, answer = judging.tests[number]
                return Reply(body=files_json({"input": data, "output": answer}))
            if kind in ("run", "compare") and number in judging.executables:
                return Reply(body=files_json(judging.executables[number], is_executable=True))
        return Reply(404, {"code": 404, "message": f"{what} not found"})

    def _give_back(self, hostname: str) -> list[dict[str, Any]]:
        self.enabled.setdefault(hostname, True)
        done = {task for judging in self.judgings.values() for task in judging.results}
        mine, self.assigned = self.assigned - done, self.assigned & done
        jobs = {self._judging(task).job for task in mine}
        return [{"jobid": job, "submitid": str(job)} for job in sorted(jobs)]

    def _fetch(self, form: dict[str, str]) -> Reply:
        if form["hostname"] not in self.enabled:
            return Reply(400, {"code": 400, "message": "Register yourself first."})
        if not self.enabled[form["hostname"]]:
            return Reply(body=[])
        if self.packets:
            return Reply(body=self.packets.pop(0))
        for judging in self.judgings.values():
            rows = [row for row in judging.rows if row["judgetaskid"] not in self.assigned]
            if rows and not self._is_over(judging):
                rows = rows[: int(form.get("max_batchsize", 25))]
                self.assigned |= {row["judgetaskid"] for row in rows}
                return Reply(body=rows)
        return Reply(body=[])

    def _add_run(self, task: int, form: dict[str, str]) -> Reply:
        judging = self._judging(task)
        if task not in self.assigned:
            return Reply(400, {"code": 400, "message": "Inconsistent data, no judging run known"})
        judging.results[task] = form
        return Reply(body=int(judging.is_full or not self._is_over(judging)))

    def _internal_error(self, form: dict[str, str]) -> Reply:
        self.errors.append(form)
        disabled = json.loads(form["disabled"])
        if disabled["kind"] == "judgehost":
            self.enabled[disabled["hostname"]] = False
        elif "judgetaskid" in form:  # the judging begins anew when the jury has looked at it
            self.judgings.pop(self._judging(int(form["judgetaskid"])).job)
        return Reply(body=len(self.errors))

    def _judging(self, task: int) -> Judging:
        return next(
            judging
            for judging in self.judgings.values()
            if task in {row["judgetaskid"] for row in judging.rows}
        )

    def _is_over(self, judging: Judging) -> bool:
        results = [form["runresult"] for form in judging.results.values()]
        is_rejected = any(result != "correct" for result in results)
        failed = any(form["compile_success"] == "0" for form in judging.compiled)
        return failed or len(results) == len(judging.rows) or (is_rejected and not judging.is_full)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment: two would wait for the first one's ACK

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._handle()

    do_POST = do_PUT = do_GET

    def _handle(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(size).decode()
        path = urlsplit(self.path).path.removeprefix(PREFIX)
        expected = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.headers.get("Authorization") != f"Basic {expected}":
            self._send(Reply(401, {"code": 401, "message": "Unauthorized"}))
            return
        self.fake.before(path)
        fault = self.fake.take_fault(path)
        form = dict(parse_qsl(body, keep_blank_values=True))
        if fault is None:
            self._send(self.fake.answer(self.command, path, form))
            return
        if fault.is_after:
            self.fake.answer(self.command, path, form)
        if isinstance(fault.reply, Reply):
            self._send(fault.reply)
            return
        if fault.reply == "hang":
            self.fake.wait_until_gone()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply) -> None:
        body = b"" if reply.body is None else reply.body
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers:
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body)
            self.wfile.flush()
        except OSError:  # it did not want all of that
            self.close_connection = True
