"""System calls: random and half-valid ones, inside real jobs of a daemon, and the host afterwards.

`python -m fuzz.syscalls [--seconds N] [--policy NAME] [--seed S] [--jobs N]`, from the root of the
checkout, as an ordinary user for whom `sandbox setup` was run. Each job runs syscall_program.c
under one of the policies: sometimes with calls that the policy kills for. "open" is a policy that
allows every call, so that the other walls are alone. After each job its Result is looked at, now
and then that the next job is right, and in the end all of the host that no job may change: so
nothing else of this user may run jobs meanwhile. Ends at the first finding; `--only N` runs job N
of a seed again.
"""

import argparse
import collections
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from fuzz.syscall_host import Canary, KernelLog, belongings, differences, facts, leftovers
from fuzz.syscall_results import complaints
from fuzz.syscall_shapes import HEAVY, NUMBERS, killed, open_policy, table
from sandbox import Client
from sandbox.spec.policy import Policy, load_policy, policy_names
from sandbox.spec.result import Completed
from sandbox.supervisor.seccomp import syscall_name

__all__ = ["Campaign", "FuzzJob", "build", "main", "plan"]

_ROOT = Path(__file__).resolve().parents[1]
_SOURCE = _ROOT / "fuzz" / "syscall_program.c"
_PATIENCE_SECONDS = 60
_HONEST_EVERY = 4  # jobs
_PAIR, _COUNT = re.compile(rb"\n@(\d+) (\d+)\r?\n"), re.compile(rb"\n#(\d+)\r?\n")


class FuzzJob(NamedTuple):
    """One job that makes calls: all of it follows from the seed and its number."""

    number: int
    policy: str
    is_rude: bool  # it makes calls that the policy kills for
    command: list[str]
    limits: dict[str, Any]
    tty: bool
    collect: list[str]


def plan(seed: int, number: int, policies: list[str], names: str) -> FuzzJob:
    """The job of that number. `names`: what of the host it tries to reach."""
    chance = random.Random(f"{seed}-{number}")
    policy = policies[number % len(policies)]
    rules = load_policy(policy)
    is_rude = chance.random() < 0.2
    collect = [name for name in ("a", "b", "d/e", "link", "pipe") if chance.random() < 0.2]
    has_processes = any("fork" in rule.names and rule.action == "allow" for rule in rules.syscalls)
    has_threads = policy != "strict"
    without = HEAVY if policy.endswith(".toml") else frozenset() if is_rude else killed(rules)
    calls = table(without, foreign=is_rude)
    command = [
        "/work/program", str(chance.getrandbits(32)), str(chance.choice([200, 500, 1000])),
        str(chance.randint(0, 4) if has_processes else 0),
        str(chance.randint(1, 6) if has_threads else 0), calls, names,
    ]  # fmt: skip
    limits = {
        "memory": chance.choice(["8MiB", "32MiB", "128MiB"]), "wall": "4s", "cpu_time": "4s",
        "processes": chance.choice([4, 12, 40]) if has_threads else 1,
        "fds": chance.choice([24, 64]),
        "disk": chance.choice(["2MiB:16", "16MiB:512"]), "output": chance.choice(["16KiB", "4MiB"]),
    }  # fmt: skip
    return FuzzJob(number, policy, is_rude, command, limits, chance.random() < 0.2, collect)


def build(directory: Path) -> Path:
    """The program, compiled. Raises FileNotFoundError: no gcc."""
    program = directory / "program"
    options = ["-O1", "-static", "-pthread", "-o"]
    subprocess.run(["gcc", *options, program, _SOURCE], check=True)
    program.chmod(0o755)
    return program


class Campaign:
    """A daemon, and what its jobs have come to."""

    def __init__(self, directory: Path, policies: list[str], seed: int, names: str) -> None:
        opened = str(directory / "open.toml")
        self._directory = directory
        self._policies = [opened if name == "open" else name for name in policies]
        self._seed, self._names = seed, names
        self._program = build(directory)
        (directory / "open.toml").write_text(open_policy())
        self._log = (directory / "log").open("w+")
        self.address = f"unix:{directory / 'socket'}"
        self._daemon = subprocess.Popen(
            [sys.executable, "-m", "sandbox", "serve", "--log", "json",
             "--socket", directory / "socket", "--state", directory / "state"],
            stderr=self._log, cwd=_ROOT,
        )  # fmt: skip
        self._lock = threading.Lock()
        self.findings: list[str] = []
        self.calls = 0
        self.verdicts: collections.Counter[str] = collections.Counter()
        self.pairs: dict[str, set[tuple[int, int]]] = {name: set() for name in self._policies}

    @property
    def pid(self) -> int:
        """Of the daemon."""
        return self._daemon.pid

    def wait_until_up(self) -> None:
        """Wait until it takes jobs. Raises TimeoutError."""
        end = time.monotonic() + _PATIENCE_SECONDS
        while not (self._directory / "socket").exists():
            if self._daemon.poll() is not None or time.monotonic() > end:
                raise TimeoutError((self._directory / "log").read_text())
            time.sleep(0.01)
        with Client(self.address) as client:
            client.run(["/bin/true"])  # by then it has locked itself

    def run(self, client: Client, number: int) -> None:
        """Run one job, look at what it came to, and sometimes at an honest job after it."""
        found: list[str] = []
        job = None
        try:
            job = plan(self._seed, number, self._policies, self._names)
            done = client.run(
                job.command, policy=job.policy, limits=job.limits, tty=job.tty,
                copy=[f"{self._program}:/work/program"], stdin=b"some input\n" * 32,
                collect=job.collect,
            )  # fmt: skip
            policy = load_policy(job.policy)
            found += complaints(done.result, policy, job.limits, is_rude=job.is_rude)
            self._count(job, done)
            if number % _HONEST_EVERY == 0:
                found += _honest(client, number)
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
        with self._lock:
            self.findings += [f"job {number} ({job and job.policy}): {one}" for one in found]

    def end(self) -> list[str]:
        """End the daemon: what was wrong with it."""
        found = [] if self._daemon.poll() is None else ["the daemon has ended by itself"]
        self._daemon.send_signal(signal.SIGTERM)
        try:
            code = self._daemon.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            code = self._daemon.wait()
        if code != 0:
            found.append(f"the daemon ended with {code}")
        self._log.seek(0)
        lines = self._log.read().splitlines()
        self._log.close()
        return found + [line for line in lines if _is_complaint(line)]

    def _count(self, job: FuzzJob, done: Completed) -> None:
        pairs = {(int(call), int(code)) for call, code in _PAIR.findall(done.stdout)}
        with self._lock:
            self.pairs[job.policy] |= pairs
            self.calls += max([0, *(int(n) for n in _COUNT.findall(done.stdout))])
            self.verdicts[done.result.verdict] += 1


def _honest(client: Client, number: int) -> Iterator[str]:
    """A job that does what it should, in a daemon that others have just tried."""
    word = f"honest {number}\n"
    done = client.run(["/bin/echo", "-n", word])
    if (done.result.verdict, done.result.exit_code, done.stdout) != ("exited", 0, word.encode()):
        yield f"the job after it: {done.result.verdict} {done.result.evidence} {done.stdout!r}"


def _is_complaint(line: str) -> bool:
    try:
        return json.loads(line).get("level") in ("error", "critical")
    except ValueError:
        return True  # a traceback


def _allowed(policy: Policy) -> set[str]:
    return {name for rule in policy.syscalls if rule.action == "allow" for name in rule.names}


def _report(campaign: Campaign) -> None:
    numbers = {syscall_name(number): number for number in NUMBERS}
    jobs = sum(campaign.verdicts.values())
    print(f"{jobs} jobs, {campaign.calls} calls; verdicts: {dict(campaign.verdicts)}")
    for policy, pairs in campaign.pairs.items():
        called = {call for call, _ in pairs}
        allowed = _allowed(load_policy(policy)) & numbers.keys()
        never = sorted(name for name in allowed if numbers[name] not in called)
        print(
            f"{Path(policy).stem}: {len(called)} calls, {len(pairs)} pairs of call and errno; "
            f"allowed and never made: {' '.join(never) or 'none'}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz.syscalls")
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: 60)")
    parser.add_argument("--policy", action="append", help="default: all")
    parser.add_argument("--seed", type=int, default=time.time_ns() % (1 << 32))
    parser.add_argument("--jobs", type=int, default=2, help="at once (default: 2)")
    parser.add_argument(
        "--kernel-log", type=Path, default="/dev/kmsg", metavar="FILE",
        help="where it is not readable: what `dmesg --follow` writes (default: /dev/kmsg)",
    )  # fmt: skip
    parser.add_argument("--only", type=int, metavar="N", help="job N of the seed, once")
    return parser.parse_args()


def main() -> int:
    """Run a campaign; 1 if anything was found."""
    options = _options()
    if shutil.which("gcc") is None:
        sys.exit("gcc is needed for the program that makes the calls")
    policies = options.policy or [*policy_names(), "open"]
    log = KernelLog(options.kernel_log)
    print(f"seed {options.seed}", "" if log.is_readable else "(no kernel log to read)", flush=True)
    with tempfile.TemporaryDirectory() as directory, Canary() as canary:
        Path(directory).chmod(0o755)
        campaign = Campaign(Path(directory), policies, options.seed, canary.names)
        try:
            campaign.wait_until_up()
            before, found_before = facts(campaign.pid), belongings()
            _run_all(campaign, options, canary)
            found = [*campaign.findings, *canary.changes()]
            found += differences(before, facts(campaign.pid))
        finally:
            complaints_of_daemon = campaign.end()
        found += [*complaints_of_daemon, *leftovers(found_before), *canary.changes()]
        found += log.complaints()
        if not campaign.calls:
            found.append("no call was made")
        _report(campaign)
    for one in found:
        print(f"found: {one}")
    if found:
        print(f"again: python -m fuzz.syscalls --seed {options.seed} --only N")
    return 1 if found else 0


def _run_all(campaign: Campaign, options: argparse.Namespace, canary: Canary) -> None:
    if options.only is not None:
        with Client(campaign.address) as client:
            campaign.run(client, options.only)
        return
    until = time.monotonic() + options.seconds
    numbers = iter(range(1 << 30))
    lock = threading.Lock()

    def keep_running() -> None:
        with Client(campaign.address) as client:
            while time.monotonic() < until and not campaign.findings:
                with lock:
                    number = next(numbers)
                campaign.run(client, number)
                if found := canary.changes():
                    campaign.findings.append(f"about job {number}: {found}")

    threads = [threading.Thread(target=keep_running) for _ in range(options.jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
