"""Artifacts: what a job leaves where the supervisor will look, to have it read something else."""

import os

from sandbox.attack.attack import BARE, attack
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets

_KIND = "collecting"


@attack(_KIND, BARE, artifact=b"linked/file")
def linked(script: AttackScript, targets: Targets) -> None:
    """Leaves a symbolic link to a file of the host."""
    script.call("mkdirat", AT_FDCWD, b"linked", 0o777)
    script.call("symlinkat", targets.secret, AT_FDCWD, b"linked/file")


@attack(_KIND, BARE, artifact=b"above/secret")
def above(script: AttackScript, targets: Targets) -> None:
    """Leaves a symbolic link to a directory of the host on the way to its artifact."""
    script.call("symlinkat", os.fsencode(targets.directory), AT_FDCWD, b"above")


@attack(_KIND, BARE, artifact=b"climbing/secret")
def climbing(script: AttackScript, targets: Targets) -> None:
    """Leaves a relative link that climbs above every root."""
    path = b"../" * 40 + os.fsencode(targets.directory)[1:]
    script.call("symlinkat", path, AT_FDCWD, b"climbing")


@attack(_KIND, BARE, artifact=b"magic/secret")
def magic(script: AttackScript, targets: Targets) -> None:
    """Leaves a link through /proc/self, which is somebody else for whoever follows it."""
    path = b"/proc/self/root" + os.fsencode(targets.directory)
    script.call("symlinkat", path, AT_FDCWD, b"magic")
