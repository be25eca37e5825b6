"""A load: clients of several tenants, honest and hostile jobs, lost connections, kills.

python -m bench load: one daemon; processes of clients that each run jobs of every kind of
load_jobs.py, and check what comes of each. Meanwhile zygotes and inits are killed, and the daemon
itself where that is asked for. An init may cost one visit, the daemon those that it served, a
zygote none. Some dozen times all pause, and all that can leak is counted; the last third of those
samples against the first is the verdict, with what is left when the daemon has ended. Run it alone.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Set
from pathlib import Path

from bench.caller import Caller
from bench.daemon import Daemon
from bench.growth import growth, print_verdict
from bench.load_jobs import PROGRAMS
from bench.load_sample import AT_ONCE, NOT_JUDGED, SLACK, Sample, leftovers, take_sample
from bench.machine import Watch
from bench.processes import children, zygotes

__all__ = ["main"]

_CHECKOUT = Path(__file__).resolve().parents[1]
_SAMPLES = 15
_KILL_SECONDS = {"init": 4.0, "zygote": 20.0, "daemon": 0.0}  # on average; 0: never
_PAUSE_SECONDS = 120.0  # for what a client has begun to end
_ENDING_SECONDS = 30.0
_PATIENCE_SECONDS = 60.0
_PAGE = 1000


class _Load:
    """The run, and what it has met."""

    def __init__(self, options: argparse.Namespace, directory: Path) -> None:
        self._chance = random.Random(options.seed)
        self._directory = directory
        self._tokens = {f"tenant-{n}": secrets.token_hex() for n in range(options.tenants - 1)}
        self._kill_seconds = {what: getattr(options, f"{what}_every") for what in _KILL_SECONDS}
        self._seconds = options.minutes * 60
        self._samples = options.samples
        self._seed, self._count = options.seed, options.clients
        (directory / "daemon").mkdir()
        self._port = _free_port()
        self._programs = frozenset(
            hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (directory / "programs").iterdir()
        )
        self._daemon = Daemon(_CHECKOUT, directory / "daemon", self._config())
        self._daemon_pids: list[int] = []
        self.kills: Counter[str] = Counter()
        self.visits = 0
        self.wrong: dict[str, list[str]] = {}
        self.faults: list[str] = []
        self.samples: list[Sample] = []

    def _config(self) -> str:
        tables = (
            f'[tenants.{name}]\ntokens = ["sha256:{hashlib.sha256(token.encode()).hexdigest()}"]\n'
            for name, token in self._tokens.items()
        )
        tcp = f'[listen]\ntcp = "127.0.0.1:{self._port}"\nclear = true\n' if self._tokens else ""
        return tcp + "".join(tables)

    def run(self) -> None:
        """All of it. OSError, TimeoutError: it cannot go on."""
        self._start_daemon()
        try:
            with self._clients() as clients:
                self._hear(clients)
                for number in range(self._samples):
                    self._tell(clients, "go")
                    self._disturb(self._seconds / self._samples)
                    self._tell(clients, "pause")
                    self._hear(clients)
                    self._clear(self._programs)
                    self.samples.append(self._look())
                    print(f"{number + 1} of {self._samples} samples", file=sys.stderr)
            self._judge()
            self._clear(frozenset())
            if code := self._daemon.end():
                self.faults.append(f"the daemon ended with {code}")
            self.faults += leftovers(self._daemon_pids, self._daemon.state)
        finally:
            self._daemon.close()

    def _start_daemon(self) -> None:
        self._daemon.start(quiet=False)
        self._daemon_pids.append(self._daemon.pid)

    # Clients

    @contextlib.contextmanager
    def _clients(self) -> Iterator[list[subprocess.Popen[str]]]:
        # The first tenant is this user, by the socket; the others come over TCP.
        doors = [(self._daemon.address, "")]
        doors += [(f"tcp:127.0.0.1:{self._port}", token) for token in self._tokens.values()]
        started = []
        for number in range(self._count):
            address, token = doors[number % len(doors)]
            seed = f"{self._seed}-{number}"
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "bench.load_client", address, seed,
                     self._directory / "programs"],
                    cwd=_CHECKOUT,
                    env={**os.environ, "SANDBOX_TOKEN": token},
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )  # fmt: skip
        try:
            yield started
            for client in started:
                client.communicate(timeout=_ENDING_SECONDS)
        finally:
            for client in started:
                client.kill()
                client.wait()

    def _tell(self, clients: list[subprocess.Popen[str]], order: str) -> None:
        for client in clients:
            assert client.stdin is not None
            client.stdin.write(f"{order}\n")
            client.stdin.flush()

    def _hear(self, clients: list[subprocess.Popen[str]]) -> None:
        accounts = []
        for client in clients:
            assert client.stdout is not None
            if not select.select([client.stdout], [], [], _PAUSE_SECONDS)[0]:
                raise TimeoutError("the jobs of a client do not end")
            line = client.stdout.readline()
            if not line:
                raise OSError("a client has ended; stderr says why")
            accounts.append(json.loads(line))
        self.visits = sum(account["visits"] for account in accounts)
        self.wrong = {
            name: [text for account in accounts for text in account[name]]
            for name in ("init", "daemon", "faults")
        }

    # What happens to the daemon meanwhile

    def _disturb(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        at = {
            what: time.monotonic() + self._chance.expovariate(1 / every)
            for what, every in self._kill_seconds.items()
            if every
        }
        while at:
            what = min(at, key=lambda name: at[name])
            if at[what] >= ends_at:
                break
            time.sleep(max(at[what] - time.monotonic(), 0.0))
            self._kill(what)
            at[what] = time.monotonic() + self._chance.expovariate(1 / self._kill_seconds[what])
        time.sleep(max(ends_at - time.monotonic(), 0.0))

    def _kill(self, what: str) -> None:
        if what == "daemon":
            self._daemon.kill()
            self.kills[what] += 1
            self._start_daemon()
            return
        found = zygotes(self._daemon.pid)
        victims = found if what == "zygote" else [i for z in found for i in children(z)]
        if not victims:
            return
        with contextlib.suppress(ProcessLookupError):  # its job was over
            pidfd = os.pidfd_open(self._chance.choice(victims))
            try:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                self.kills[what] += 1
            finally:
                os.close(pidfd)

    # What is found

    def _look(self) -> Sample:
        callers = [Caller(self._daemon.path) for _ in range(AT_ONCE)]
        try:
            return take_sample(self._daemon, callers, self.visits)
        finally:
            for caller in callers:
                caller.close()

    def _judge(self) -> None:
        self.faults += self.wrong["faults"]
        if len(self.wrong["init"]) > self.kills["init"]:
            self.faults += self.wrong["init"]
        if not self.kills["daemon"]:
            self.faults += self.wrong["daemon"]

    def _clear(self, kept_blobs: Set[str]) -> None:
        """Have every tenant's jobs and blobs forgotten: all jobs are over when no client waits."""
        for token in (None, *self._tokens.values()):
            where = self._daemon.path if token is None else ("127.0.0.1", self._port)
            with contextlib.closing(Caller(where, token)) as caller:
                while jobs := caller.call("job.list", most=_PAGE)["jobs"]:
                    for job in jobs:
                        caller.call("job.wait", job=job["job"], wait_seconds=_PATIENCE_SECONDS)
                        caller.call("job.delete", job=job["job"])
                for blob in caller.call("blob.list", most=_PAGE)["blobs"]:
                    if blob["sha256"] not in kept_blobs:
                        caller.call("blob.delete", sha256=blob["sha256"])


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench load",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--samples", type=int, default=_SAMPLES)
    parser.add_argument("--seed", type=int, default=1, help="of jobs and kills")
    for what, seconds in _KILL_SECONDS.items():
        parser.add_argument(
            f"--{what}-every",
            type=float,
            default=seconds,
            metavar="SECONDS",
            help=f"kill one so often on average ({seconds:g}); 0: never",
        )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the samples there too")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # no daemon of ours outlives us
    compiler = shutil.which("gcc")
    if compiler is None:
        parser.error("it needs gcc, for hostile programs and for jobs that compile")
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        _compile(compiler, directory / "programs")
        watch, load = Watch(), _Load(options, directory)
        try:
            load.run()
        except (OSError, TimeoutError, EOFError, RuntimeError) as error:
            load.faults.append(f"after {load.visits} visits: {error!r}")
    grown = growth(load.samples, SLACK, NOT_JUDGED)
    kills = ", ".join(f"{count} {what}s" for what, count in load.kills.items()) or "nothing"
    told = (
        f"{load.visits} visits; killed: {kills}; ended with an init: "
        f"{len(load.wrong.get('init', ()))}, with the daemon: {len(load.wrong.get('daemon', ()))}"
    )
    print_verdict(load.samples, told, grown, load.faults)
    print(watch.machine().text())
    if options.json is not None:
        found = {
            "visits": load.visits,
            "kills": load.kills,
            "faults": load.faults,
            "grown": grown,
            "samples": [sample._asdict() for sample in load.samples],
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    sys.exit(1 if grown or load.faults else 0)


def _compile(compiler: str, directory: Path) -> None:
    directory.mkdir()
    for program in PROGRAMS:
        source = _CHECKOUT / "examples" / "hostile" / f"{program}.c"
        command = [compiler, "-O1", "-w", "-static", "-pthread", "-o", directory / program, source]
        subprocess.run(command, check=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
