"""The systemd unit that makes a user's cgroup v1 directories again: they do not outlive a boot."""

from collections.abc import Iterable

from sandbox.supervisor.cgroup.delegate_v1 import PREPARED
from sandbox.supervisor.cgroup.parse import Mount

__all__ = ["boot_unit"]

_TEXT = """# Made by `sandbox setup`.
[Unit]
Description=cgroup directories for the sandbox jobs of {name}

[Service]
Type=oneshot
RemainAfterExit=yes
{steps}

[Install]
WantedBy=multi-user.target
"""


def boot_unit(name: str, uid: int, gid: int, mounts: Iterable[Mount]) -> str:
    """The unit's text: what `delegate_v1` does in these `mounts`, in plain commands.

    Not our own program: it may lie where the user can write, and root must not run it unwatched.
    """
    steps, bases = [], []
    for mount in mounts:
        parent = f"{mount.point}/{PREPARED}"
        bases.append(f"{parent}/{uid}")
        steps.append(f"/bin/mkdir -p {bases[-1]}")
        # A new cpuset is empty, and children have no more than it has; cpuset(7).
        if "cpuset" in mount.controllers:
            steps += [
                f"/bin/sh -c 'cat {above}/{file} > {below}/{file}'"
                for above, below in ((mount.point, parent), (parent, bases[-1]))
                for file in ("cpuset.cpus", "cpuset.mems")
            ]
    steps.append(f"/bin/chown {uid}:{gid} {' '.join(bases)}")
    return _TEXT.format(name=name, steps="\n".join(f"ExecStart={step}" for step in steps))
