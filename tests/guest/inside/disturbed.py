"""The host's root, or systemd, at the cgroups of a service that runs jobs: what becomes of those.

The job that is hit ends with an error that says so, or with its verdict; the other one, and the
service, go on; and in the end nothing is left.
"""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.guest.inside.conftest import ROOT, User, unshared, until

pytestmark = pytest.mark.root

SANDBOX = (sys.executable, "-m", "sandbox")
# Says that it runs, and ends when its stdin does.
HOLD = ("--", "/bin/sh", "-c", "echo {0}; cat")


class Service:
    """`sandbox serve` of a user, in a cgroup that is the user's."""

    def __init__(self, user: User, own: Path, inside: str) -> None:
        self._user, self.own = user, own
        self.socket = user.home / "sandbox.sock"
        self.socket.unlink(missing_ok=True)
        config = user.home / "service.toml"
        config.write_text("[budget]\njobs = 100\ncpus = 1000\n")  # else they would wait
        serve = [*SANDBOX, "serve", "--config", config, "--socket", self.socket]
        serve += ["--state", user.home / "state"]
        self._said = (user.home / "service.log").open("wb")
        self.process = subprocess.Popen(
            user.command(own, *serve, inside=inside), stdout=self._said, stderr=self._said
        )
        until(self.socket.exists)

    def run(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """A job; who reads its stdout hears of it."""
        client = self.own.parent / "clients"
        client.mkdir(exist_ok=True)
        run = [*SANDBOX, "run", "--host", f"unix:{self.socket}", "--memory", "32MiB", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            self._user.command(client, *run), stdin=pipe, stdout=pipe, stderr=pipe
        )

    def hold(self, name: str, *options: str) -> "tuple[subprocess.Popen[bytes], Path]":
        """A job that runs until its stdin ends, and its cgroup."""
        job = self.run(*options, *HOLD[:-1], HOLD[-1].format(name))
        assert job.stdout is not None and job.stdout.readline() == f"{name}\n".encode()
        return job, self.cgroup_of(f"echo {name};")

    def cgroup_of(self, words: str) -> Path:
        """Of the payload with these words in its command line."""
        for procs in self.own.glob("sandbox-run-*/job-*/cgroup.procs"):
            for pid in procs.read_text().split():
                if words.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return procs.parent
        raise AssertionError(f"no payload with {words} in its command line")

    @property
    def directory(self) -> Path:
        (found,) = self.own.glob("sandbox-run-*")
        return found

    def is_well(self) -> bool:
        """Whether a job runs now as if nothing had happened."""
        job = self.run("--", "/bin/echo", "well")
        said, errors = job.communicate(timeout=60)
        return (job.returncode, said) == (0, b"well\n") or pytest.fail(errors.decode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            assert self.process.wait(timeout=60) in (0, 128 + signal.SIGTERM)
        self._said.close()


@pytest.fixture
def serve(user: User, delegated: Callable[..., Path]) -> Iterator[Callable[..., Service]]:
    services: list[Service] = []

    def start(inside: str = "") -> Service:
        services.append(Service(user, delegated(), inside))
        return services[-1]

    yield start
    for service in services:
        service.close()
        said = (user.home / "service.log").read_text()
        assert "Traceback" not in said, said
        assert not [*service.own.glob("sandbox-run-*")], "left behind"


@pytest.fixture
def service(serve: Callable[..., Service]) -> Service:
    return serve()


def _ends_well(job: "subprocess.Popen[bytes]") -> None:
    said, errors = job.communicate(b"to the end", timeout=60)
    assert (job.returncode, said) == (0, b"to the end"), errors


def _ends_with(job: "subprocess.Popen[bytes]", code: int, *words: str) -> None:
    _, errors = job.communicate(timeout=60)
    assert job.returncode == code, errors
    assert not [word for word in words if word not in errors.decode()], errors


def _move(source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    for pid in (source / "cgroup.procs").read_text().split():
        (target / "cgroup.procs").write_text(pid)


def test_a_job_whose_cgroup_is_taken_from_it_is_ended_and_its_loss_is_told(
    service: Service,
) -> None:
    other, _ = service.hold("other")
    hit, cgroup = service.hold("hit")
    _move(cgroup, service.own.parent / "elsewhere")
    pids = (service.own.parent / "elsewhere/cgroup.procs").read_text().split()
    assert pids, "the control: it ran on without limits"
    cgroup.rmdir()
    _ends_with(hit, 125, "while its job runs", "leave ours alone")
    until(lambda: not any(Path("/proc", pid).exists() for pid in pids))
    _ends_well(other)
    assert service.is_well()


@pytest.mark.long
def test_a_frozen_job_still_ends_at_its_limit(service: Service) -> None:
    other, _ = service.hold("other")
    frozen, cgroup = service.hold("frozen", "--wall", "8s")
    (cgroup / "cgroup.freeze").write_text("1")
    until(lambda: "frozen 1" in (cgroup / "cgroup.events").read_text())
    _ends_with(frozen, 124, "wall")
    _ends_well(other)
    assert service.is_well()


@pytest.mark.parametrize(
    "controller",
    [
        "memory",
        pytest.param("pids", marks=pytest.mark.long),
        pytest.param("cpu", marks=pytest.mark.long),
    ],
)
def test_a_controller_that_is_withdrawn_is_an_error_until_it_is_back(
    service: Service, controller: str
) -> None:
    hit, _ = service.hold("hit")
    levels = (service.directory, service.own)
    for level in levels:
        (level / "cgroup.subtree_control").write_text(f"-{controller}")
    if controller == "cpu":
        # The job has lost no promise: a CPU for itself is what it has anyway.
        _ends_well(hit)
    else:
        hit.communicate(timeout=60)
        assert hit.returncode == 125
        late = service.run("--", "/bin/true")
        _ends_with(late, 125, f"{controller}.", "never started")
    for level in reversed(levels):
        (level / "cgroup.subtree_control").write_text(f"+{controller}")
    assert service.is_well()


@pytest.mark.long
def test_a_mount_that_becomes_read_only_forbids_new_jobs_and_no_more(
    serve: Callable[..., Service],
) -> None:
    service = serve(unshared("-m", "true"))
    running, _ = service.hold("running")
    remount = ["nsenter", "-m", "-t", str(service.process.pid), "mount", "-o"]
    subprocess.run([*remount, "remount,bind,ro", str(ROOT)], check=True)
    _ends_well(running)
    # One may be parked; the next ones need a cgroup.
    late = [service.run("--require-grade", "memory=kernel", "--", "/bin/true") for _ in range(3)]
    errors = b"".join(job.communicate(timeout=60)[1] for job in late)
    assert b"Read-only file system" in errors and b"fix: mount it writable" in errors
    subprocess.run([*remount, "remount,bind,rw", str(ROOT)], check=True)
    assert service.is_well()


@pytest.mark.long
def test_a_bound_on_cgroups_that_is_set_meanwhile_refuses_jobs_until_it_goes(
    service: Service,
) -> None:
    running, _ = service.hold("running")
    bound = service.own / "cgroup.max.descendants"
    bound.write_text("0")
    _ends_with(service.run("--cwd", "/elsewhere", "--", "/bin/true"), 125, bound.name)
    bound.write_text("max")
    _ends_well(running)
    assert service.is_well()


def test_a_foreign_process_in_a_jobs_cgroup_delays_its_removal_only(service: Service) -> None:
    job, cgroup = service.hold("job")
    with subprocess.Popen(["sleep", "infinity"]) as foreign:
        try:
            (cgroup / "cgroup.procs").write_text(str(foreign.pid))
            _ends_well(job)
            assert service.is_well()
            assert foreign.poll() is None and cgroup.exists(), "the control: it was in the way"
        finally:
            foreign.kill()
    until(lambda: not cgroup.exists())


@pytest.mark.long
def test_what_a_stopped_service_left_goes_with_the_next(
    user: User, serve: Callable[..., Service]
) -> None:
    service = serve()
    job, _ = service.hold("job")
    # As systemd does after TimeoutStopSec=: all at once.
    (service.own / "cgroup.kill").write_text("1")
    service.process.wait(timeout=60)
    job.communicate(timeout=60)
    assert job.returncode != 0
    left = [*service.own.glob("sandbox-run-*")]
    assert left, "the control: nobody was there to remove it"
    until(lambda: "populated 0" in (service.own / "cgroup.events").read_text())
    # The runner had given out controllers, so no process can be where it was. The next one comes
    # from a cgroup that is no good for it, and finds that one above.
    (beside := service.own / "login").mkdir()
    user.own(beside)
    with subprocess.Popen(user.command(beside, "sleep", "infinity")) as shell:
        outcome = user.sandbox(beside, "--", "/bin/echo", "next")
        shell.kill()
    assert (outcome.returncode, outcome.stdout) == (0, b"next\n"), outcome
    assert not [path for path in left if path.exists()]
