"""Where systemd has the cgroups: what it delegates, and what its limits around a job do to it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Outcome
from tests.guest.inside.conftest import ROOT, User, until

pytestmark = pytest.mark.root

SANDBOX = (sys.executable, "-m", "sandbox")
DELEGATE = ("-p", "Delegate=yes")
ECHO = ("--", "/bin/echo", "ran")
Run = Callable[..., Outcome]


class Manager:
    """The user's systemd, as a shell of that user reaches it."""

    def __init__(self, user: User) -> None:
        self.user = user
        runtime = f"/run/user/{user.uid}"
        ids = (f"--reuid={user.uid}", f"--regid={user.uid}", "--init-groups")
        bus = f"DBUS_SESSION_BUS_ADDRESS=unix:path={runtime}/bus"
        environment = ("env", f"HOME={user.home}", f"XDG_RUNTIME_DIR={runtime}", bus)
        self._shell = ["setpriv", *ids, *environment]
        self.cgroup = ROOT / f"user.slice/user-{user.uid}.slice/user@{user.uid}.service"

    def command(self, *words: str) -> list[str]:
        return [*self._shell, *words]

    def unit(self, *properties: str) -> Callable[[list[str]], list[str]]:
        """Run as a service of the user's manager with these properties."""
        run = ("systemd-run", "--user", "--pipe", "--wait", "--quiet", "--collect", "--same-dir")
        return lambda command: self.command(*run, *properties, *command)

    def run(self, *properties: str, job: tuple[str, ...] = ECHO) -> Outcome:
        return self.user.outcome(self.unit(*properties), *job)

    def doctor(self, *properties: str) -> str:
        ended = subprocess.run(
            self.unit(*properties)([*SANDBOX, "doctor"]), capture_output=True, timeout=120
        )
        assert ended.returncode == 0, ended.stdout.decode()
        return ended.stdout.decode()


@pytest.fixture(scope="module")
def manager(user: User) -> Manager:
    runtime = Path(f"/run/user/{user.uid}")
    runtime.mkdir(mode=0o700, exist_ok=True)
    subprocess.run(["chown", f"{user.uid}:{user.uid}", runtime], check=True)
    subprocess.run(["systemctl", "start", f"user@{user.uid}"], check=True)
    return Manager(user)


@pytest.fixture(autouse=True)
def nothing_left(manager: Manager) -> object:
    yield
    until(lambda: not [*manager.cgroup.glob("**/sandbox-*")])


def _ran(outcome: Outcome) -> None:
    assert (outcome.returncode, outcome.stdout) == (0, b"ran\n"), outcome
    assert outcome.result is not None
    assert {outcome.result["grades"][limit] for limit in ("memory", "processes")} == {"kernel"}


def test_a_service_to_which_it_is_delegated_runs_jobs_in_its_own_cgroup(manager: Manager) -> None:
    _ran(manager.run(*DELEGATE))
    assert "cgroup v2: own cgroup, " in manager.doctor(*DELEGATE)


def test_a_session_asks_for_a_scope_of_its_own(manager: Manager) -> None:
    # A shell is in its cgroup, so that the runner is not alone there.
    shell = ("sh", "-c", '"$@"; exit $?', "sh")
    by = manager.unit()
    _ran(manager.user.outcome(lambda run: by([*shell, *run]), *ECHO))
    doctor = subprocess.run(
        by([*shell, *SANDBOX, "doctor"]), capture_output=True, timeout=120
    ).stdout.decode()
    assert "cgroup v2: systemd user scope, " in doctor, doctor
    assert "default jobs can run" in doctor


@pytest.mark.long
def test_a_scope_that_systemd_run_makes_is_used(manager: Manager) -> None:
    scope = ("systemd-run", "--user", "--scope", "--quiet", "--collect", *DELEGATE)
    by = manager.unit()
    _ran(manager.user.outcome(lambda run: by([*scope, *run]), *ECHO))


@pytest.mark.long
def test_after_su_from_another_session_the_managers_move_the_runner(manager: Manager) -> None:
    # The user's has no rights over where it is, and asks the system's.
    by_su = ("sh", "-c", '"$@"; exit $?', "sh")
    _ran(manager.user.outcome(lambda run: manager.command(*by_su, *run), *ECHO))


def test_memory_that_the_service_lacks_is_not_the_jobs_verdict(manager: Manager) -> None:
    allocate = ("--", "/usr/bin/python3", "-S", "-c", "bytearray(150 << 20)")
    job = ("--memory", "250MiB", *allocate)
    control = manager.run(*DELEGATE, job=job)
    assert control.returncode == 0, control
    # Killed by the service's limit, or told by us who lived: never "memory" of the job's own.
    outcome = manager.run(*DELEGATE, "-p", "MemoryMax=90M", "-p", "OOMPolicy=continue", job=job)
    assert outcome.returncode == 125 and "around the job" in outcome.stderr, outcome


@pytest.mark.long
def test_processes_that_the_service_may_not_have_are_not_the_jobs_verdict(
    manager: Manager,
) -> None:
    fork = "import os, time\nfor _ in range(20):\n    os.fork() or time.sleep(600)"
    job = ("--processes", "64", "--wall", "20s", "--", "/usr/bin/python3", "-S", "-c", fork)
    control = manager.run(*DELEGATE, job=("--processes", "5", *job[2:]))
    assert control.result is not None and control.result["verdict"] == "processes", control
    outcome = manager.run(*DELEGATE, "-p", "TasksMax=14", job=job)
    assert outcome.returncode == 125 and "TasksMax" in outcome.stderr, outcome


@pytest.mark.long
def test_a_service_that_is_stopped_leaves_nothing(manager: Manager) -> None:
    socket = manager.user.home / "jobs.sock"
    serve = ("serve", "--socket", str(socket), "--state", f"{manager.user.home}/state")
    start = ("systemd-run", "--user", "--quiet", "--unit=jobs", "--same-dir", *DELEGATE)
    subprocess.run(manager.command(*start, *SANDBOX, *serve), check=True)
    until(socket.exists)
    hold = ("--", "/bin/sh", "-c", "echo holds; sleep 600")
    run = [*SANDBOX, "run", "--host", f"unix:{socket}", "--memory", "32MiB", *hold]
    with subprocess.Popen(manager.unit()(run), stdout=subprocess.PIPE) as held:
        assert held.stdout is not None and held.stdout.readline() == b"holds\n"
        service = manager.cgroup / "app.slice/jobs.service"
        assert [*service.glob("sandbox-run-*")], "the control: it is there that jobs are"
        subprocess.run(manager.command("systemctl", "--user", "stop", "jobs"), check=True)
        assert held.wait(60) != 0
    assert not service.exists()


@pytest.mark.long
def test_setup_has_the_manager_hand_out_every_controller(manager: Manager) -> None:
    subprocess.run(["systemctl", "start", "systemd-logind"], check=True)
    subprocess.run([*SANDBOX, "setup", "--user", manager.user.name], check=True)
    subprocess.run(["systemctl", "restart", f"user@{manager.user.uid}"], check=True)
    handed = (manager.cgroup / "cgroup.controllers").read_text().split()
    present = (ROOT / "cgroup.controllers").read_text().split()
    assert {*handed} >= {"cpu", "memory", "pids"} | ({"cpuset"} & {*present})
    _ran(manager.run(*DELEGATE, job=("--require-grade", "cpus=kernel", *ECHO)))
    subprocess.run([*SANDBOX, "setup", "--user", manager.user.name, "--undo"], check=True)
