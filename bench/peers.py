"""Who else makes a container for one command: each tried once, and left out where it does not run.

None of them does the same as we do; each sets a scale. What a peer is run with is written here.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.rounds import Measure

__all__ = ["BWRAP", "Peers", "find_peers", "timed"]

# No quota, no filter, no Landlock, no overlay, no verified wall.
BWRAP = ("bwrap", "--unshare-all", "--ro-bind", "/", "/")
_COMMANDS = {
    "nsjail": ("nsjail", "--really_quiet", "--mode", "o", "--chroot", "/", "--", "/usr/bin/true"),
    # A box is made, used and removed, as a judge does for each run.
    "isolate": (
        "sh",
        "-c",
        "isolate --init && isolate --silent --run -- /usr/bin/true && isolate --cleanup",
    ),
}
_PODMAN = ("podman", "run", "--rm", "--network=none", "--cgroups=disabled", "--read-only")
_NAMESPACES = ("pid", "network", "ipc", "uts", "user", "mount")
_LINKS = ("bin", "sbin", "lib", "lib64")


class Peers(NamedTuple):
    """How long each takes to run `true` in a container of its own; and why others are not here."""

    found: dict[str, Measure]
    left_out: dict[str, str]


@contextmanager
def find_peers(directory: Path) -> Iterator[Peers]:
    """Try every peer that is installed; what they need on disk goes into `directory`."""
    peers = Peers({}, {})
    root = _host_root(directory)
    podman = (*_PODMAN, "--volume=/usr:/usr:ro", "--rootfs", str(root), "/usr/bin/true")
    commands = {"bwrap": (*BWRAP, "true"), **_COMMANDS, "podman": podman}
    with ExitStack() as stack:
        for name, command in commands.items():
            if why := _failure(name, command):
                peers.left_out[name] = why
            else:
                peers.found[name] = timed(*command)
        if shutil.which("crun") is None:
            peers.left_out["crun"] = "not on PATH"
        else:
            try:
                peers.found["crun"] = stack.enter_context(_crun(directory, root))
            except OSError as error:
                peers.left_out["crun"] = str(error)
        yield peers


def timed(*command: object, cwd: Path | None = None, stdin: str = "") -> Measure:
    """How many seconds a command takes."""
    argv = [*map(str, command)]

    async def measure() -> Sequence[float]:
        start = time.perf_counter()
        subprocess.run(argv, check=True, cwd=cwd, input=stdin.encode(), stdout=subprocess.DEVNULL)
        return [time.perf_counter() - start]

    return measure


def _failure(name: str, command: Sequence[str]) -> str:
    if shutil.which(name) is None:
        return "not on PATH"
    try:
        done = subprocess.run(command, capture_output=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "`true` does not end"
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return (said[-1] if said else f"exit code {done.returncode}") if done.returncode else ""


def _host_root(directory: Path) -> Path:
    """A root that shows the host's /usr, for those that mount over one."""
    root = directory / "rootfs"
    root.mkdir()
    (root / "usr").mkdir()
    for name in _LINKS:
        host = Path("/", name)
        if host.is_symlink():
            (root / name).symlink_to(host.readlink())
    return root


@contextmanager
def _crun(directory: Path, root: Path) -> Iterator[Measure]:
    bundle = directory / "bundle"
    bundle.mkdir()
    (bundle / "config.json").write_text(json.dumps(_bundle(root)))
    # crun refuses hosts with both cgroup versions, though it is to use neither. So it runs where
    # none is seen; the shell stays there, and only crun itself is in the time.
    run = f"crun --root {directory}/state --cgroup-manager=disabled run --bundle {bundle} job"
    loop = f"while read -r _; do {run} </dev/null; echo $?; done"
    script = f"mount -t tmpfs none /sys/fs/cgroup && {loop}"
    with subprocess.Popen(
        ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
    ) as shell:
        assert shell.stdin is not None and shell.stdout is not None
        asked, told = shell.stdin, shell.stdout

        def run_once() -> float:
            start = time.perf_counter()
            asked.write(b"\n")
            if (answer := told.readline()) != b"0\n":
                raise OSError(f"`true` ends with {answer.decode().strip() or 'nothing'}")
            return time.perf_counter() - start

        async def measure() -> Sequence[float]:
            return [run_once()]

        try:
            run_once()
            yield measure
        finally:
            asked.close()


def _bundle(root: Path) -> dict[str, object]:
    own_id = [{"containerID": 0, "hostID": 0, "size": 1}]
    mounts = [
        ("/usr", "none", "/usr", ["bind", "ro", "nosuid", "nodev"]),
        ("/proc", "proc", "proc", []),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "mode=755"]),
        ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666"]),
    ]
    return {
        "ociVersion": "1.0.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["true"],
            "env": ["PATH=/usr/bin:/bin"],
            "cwd": "/",
            "noNewPrivileges": True,
        },
        "root": {"path": str(root), "readonly": True},
        "mounts": [
            {"destination": destination, "type": kind, "source": source, "options": options}
            for destination, kind, source, options in mounts
        ],
        "linux": {
            "uidMappings": own_id,
            "gidMappings": own_id,
            "namespaces": [{"type": name} for name in _NAMESPACES],
        },
    }
