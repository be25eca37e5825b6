"""Hosts with another kernel, or with systemd: guests in which root makes them."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from hosts.cell import GUEST, ROOT, Cell
from hosts.visit import CHECKOUT, HERE, ordinary_user, visit

__all__ = ["ACCOUNT", "CELLS", "PREPARED", "SETUP", "SYSTEMD", "UML", "UML_LACKS", "visits"]

UML = ("--kernel=uml",)
SYSTEMD = ("--kernel=uml", "--systemd")
_QEMU = ("--kernel=qemu", "--memory=2048")
_TIMEOUT_SECONDS = 1800
# As an administrator does it where no systemd is: setup, and each session put there by root.
SETUP = "{python} -B -m sandbox setup --user {user} >/dev/null\n"
PREPARED = f"{SETUP}echo $$ > /sys/fs/cgroup/sandbox/{{uid}}/entry/cgroup.procs\n"
# In a guest with systemd: what PAM and logind would ask for, or make.
ACCOUNT = (
    "echo '{user}:*:1::::::' >> /etc/shadow\n"
    "mkdir -p /run/user/{uid}; chown {user}: /run/user/{uid}\n"
)
UML_LACKS = {"landlock": "weak", "time": "weak"}
_ALL_MISSING = {
    name: "missing"
    for name in (
        "identity", "view", "processes", "network", "ipc", "uts", "cgroup", "syscalls", "landlock",
        "time",
    )
}  # fmt: skip


def _service(name: str, *options: str, **more: Any) -> Cell:
    """A system service of the user, with Delegate=yes unless these options say otherwise."""
    properties = ["User={user}", *options]
    if "Delegate=no" not in options:
        properties.insert(0, "Delegate=yes")
    command = (
        *("systemd-run", "--pipe", "--wait", "--quiet", "--collect"),
        *(f"--property={property_}" for property_ in properties),
        "--setenv=PYTHONPATH={checkout}",
    )
    more["walls"] = {**UML_LACKS, **more.get("walls", {})}
    listed = ", ".join(f"`{name}`" for name in properties).replace("{user}", "")
    host = f"a systemd service: {listed}"
    return Cell(name, host, GUEST, guest=SYSTEMD, each=command, as_root=True, **more)


_NO_RANGE = {"identity": "weak"}
_FILTERED = {"runs": False, "runs_degraded": False, "fix": "SystemCallFilter="}

CELLS: tuple[Cell, ...] = (
    Cell(
        "uml", "user-mode Linux 6.1, cgroup v2 without systemd, prepared by `sandbox setup`",
        GUEST, guest=UML, prepare=PREPARED, walls=UML_LACKS, long=True,
    ),
    Cell(
        "uml-not-prepared", "the same, not prepared", GUEST, guest=UML,
        runs=False, walls={**UML_LACKS, "quotas": "missing"},
        says="no cgroup v2 subtree", fix="sandbox setup --user",
    ),
    _service("service"),
    _service(
        "service-not-delegated", "Delegate=no", runs=False, walls={"quotas": "missing"},
        says="no cgroup v2 subtree", fix="sandbox setup --user",
    ),
    _service("service-no-new-privileges", "NoNewPrivileges=yes", walls=_NO_RANGE,
             fix="NoNewPrivileges=no"),
    _service("service-protect-system", "ProtectSystem=strict", "ProtectHome=yes", "PrivateTmp=yes"),
    _service("service-protect-proc", "ProtectProc=invisible", "ProcSubset=pid"),
    _service("service-cgroups", "ProtectControlGroups=yes", runs=False,
             walls={"quotas": "missing"}, fix="ProtectControlGroups=no"),
    _service("service-namespaces", "RestrictNamespaces=yes", **_FILTERED, walls=_ALL_MISSING),
    _service(  # which kills; the runner cannot say so
        "service-filter", "SystemCallFilter=@system-service", **_FILTERED, says="exit code 255",
        walls={**_ALL_MISSING, "identity": "weak"},
    ),
    _service("service-hostname", "ProtectHostname=yes", **_FILTERED,
             walls={**_NO_RANGE, "uts": "missing"}),
    # Each of these comes with no_new_privs where the service is not root's, systemd.exec(5).
    _service("service-devices", "PrivateDevices=yes", walls=_NO_RANGE, fix="NoNewPrivileges=no"),
    _service("service-exec", "MemoryDenyWriteExecute=yes", walls=_NO_RANGE),
    _service("service-families", "RestrictAddressFamilies=AF_UNIX", walls=_NO_RANGE),
    _service("service-personality", "LockPersonality=yes", walls=_NO_RANGE),
    _service("service-suid", "RestrictSUIDSGID=yes", walls=_NO_RANGE),
    _service("service-dynamic", "DynamicUser=yes", "User=jobs", walls=_NO_RANGE),
    _service("service-users", "PrivateUsers=yes", walls=_NO_RANGE, fix="start outside of it"),
    _service("service-bounding", "CapabilityBoundingSet=", walls=_NO_RANGE,
             fix="CapabilityBoundingSet="),
    _service("service-tasks", "TasksMax=4", runs=False, runs_degraded=False),
    Cell(
        "session", "a login session of a user whose systemd manager runs", GUEST, guest=SYSTEMD,
        prepare=f"{ACCOUNT}systemctl start user@{{uid}}.service",
        words=("env", "XDG_RUNTIME_DIR=/run/user/{uid}"), walls=UML_LACKS,
    ),
    Cell(
        "user-service", "a service of that manager with `Delegate=yes`", GUEST, guest=SYSTEMD,
        each=(
            "env", "XDG_RUNTIME_DIR=/run/user/{uid}", "systemd-run", "--user", "--pipe", "--wait",
            "--quiet", "--collect", "--property=Delegate=yes", "--setenv=PYTHONPATH={checkout}",
        ),
        walls=UML_LACKS,
    ),
    Cell(
        "debian", "Debian's kernel 6.1, cgroup v2 without systemd, prepared", GUEST, guest=_QEMU,
        prepare=PREPARED,
    ),
    *(
        Cell(
            f"yama-{scope}", f"`kernel.yama.ptrace_scope` is {scope}", GUEST, guest=_QEMU,
            prepare=f"{PREPARED}echo {scope} > /proc/sys/kernel/yama/ptrace_scope",
        )
        for scope in (0, 1, 2)
    ),
    Cell(
        "unprivileged-userns-clone", "`kernel.unprivileged_userns_clone` is 0", GUEST, guest=_QEMU,
        prepare=f"{PREPARED}echo 0 > /proc/sys/kernel/unprivileged_userns_clone",
        restore="echo 1 > /proc/sys/kernel/unprivileged_userns_clone",
        runs=False, runs_degraded=False, walls=_ALL_MISSING,
        says="no user namespace", fix="kernel.unprivileged_userns_clone=1",
    ),
    Cell(
        "debian-max-user-namespaces", "`user.max_user_namespaces` is 0 there", GUEST, guest=_QEMU,
        prepare=f"{PREPARED}echo 0 > /proc/sys/user/max_user_namespaces",
        restore="echo 9999 > /proc/sys/user/max_user_namespaces",
        runs=False, runs_degraded=False, walls=_ALL_MISSING,
        says="no user namespace", fix="user.max_user_namespaces=28633",
    ),
    Cell(  # nothing lowers it again: the last one
        "yama-3", "`kernel.yama.ptrace_scope` is 3", GUEST, guest=_QEMU,
        prepare=f"{PREPARED}echo 3 > /proc/sys/kernel/yama/ptrace_scope",
        walls={"syscalls": "weak"}, fix="kernel.yama.ptrace_scope=2",
    ),
    Cell(
        "no-landlock", "booted with an `lsm=` list without landlock", GUEST,
        guest=(*_QEMU, "--kernel-args=lsm=capability,yama"), prepare=PREPARED,
        walls={"landlock": "weak"}, fix="boot with landlock",
    ),
    Cell(
        "no-memory-controller", "booted with `cgroup_disable=memory`", GUEST,
        guest=(*_QEMU, "--kernel-args=cgroup_disable=memory"),
        runs=False, walls={"quotas": "missing"},
        says='"memory" is not in', fix="cgroup_enable=memory",
    ),
)  # fmt: skip


def visits(cells: Iterable[Cell]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One guest for all cells that want the same, each visited in it by root, in their order."""
    by_guest: dict[tuple[str, ...], list[str]] = {}
    for cell in cells:
        by_guest.setdefault(cell.guest, []).append(cell.name)
    for options, names in by_guest.items():
        yield from _boot(options, names).items()


def _boot(options: tuple[str, ...], names: list[str]) -> dict[str, dict[str, Any]]:
    command = [
        sys.executable, "-B", str(CHECKOUT / "tests/guest/guest"), f"--timeout={_TIMEOUT_SECONDS}",
        *options, "--user=0", "--", "env", f"PYTHONPATH={CHECKOUT}:{HERE.parent}",
        f"HOSTS_USER={ordinary_user().pw_name}", sys.executable, "-B", "-m", "hosts.in_guests",
        *names,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, errors="replace")
    found: dict[str, dict[str, Any]] = {}
    for line in ended.stdout.splitlines():
        name, _, document = line.partition("\t")
        if name in names:
            found[name] = json.loads(document)
    assert len(found) == len(names), f"{names}: {ended.stdout}{ended.stderr}"
    return found


def _inside(names: list[str]) -> None:
    from hosts import fixable  # which is made of this

    by_name = {cell.name: cell for cell in (*CELLS, fixable.SMOKE, *fixable.CELLS)}
    for name in names:
        examined = visit(by_name[name]._replace(by=ROOT, guest=()))
        subprocess.run(["sh", "-c", by_name[name].restore], check=True)
        print(f"{name}\t{json.dumps(examined)}", flush=True)


if __name__ == "__main__":
    _inside(sys.argv[1:])
