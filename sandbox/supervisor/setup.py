"""`sandbox setup`: what root does once, so that an ordinary user's jobs get ids and cgroups.

Everything may be repeated. What was changed is kept in a state file, so that undo takes back that
and nothing else.
"""

import json
import os
import pwd
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sandbox.spec.errors import HostError, SpecError
from sandbox.supervisor import cgroup, grants
from sandbox.supervisor.boot_unit import boot_unit
from sandbox.supervisor.cgroup.delegate_v1 import v1_mounts
from sandbox.supervisor.cgroup.files import cgroup_mounts
from sandbox.supervisor.fix import as_text
from sandbox.supervisor.host import facts
from sandbox.supervisor.identity import plan_base_map
from sandbox.supervisor.subids import read_subids
from sandbox.supervisor.sysctls import sysctl_fixes

__all__ = ["Setup", "User", "find_user", "main"]

_DELEGATE = "# Made by `sandbox setup`.\n[Service]\nDelegate=cpu cpuset io memory pids\n"


class User(NamedTuple):
    """Whom the host is prepared for. `name` is the number where there is no account."""

    name: str
    uid: int
    gid: int


def main(user: str, undo: bool) -> int:
    """Prepare this host for `user`, or take that back, and print each thing that was done.

    Raises SpecError: there is no such user; HostError: not root, or the host is in the way.
    """
    found = find_user(user)
    if os.geteuid() != 0:
        words = f"setup --user {user}{' --undo' if undo else ''}"
        raise HostError(f"setup changes the host and needs root; fix: sudo sandbox {words}")
    setup = Setup(found)
    if undo:
        setup.undo()
    else:
        setup.do()
    return 0


def find_user(user: str) -> User:
    """The account of that name or number; a number without an account is its own group's."""
    try:
        is_number = user.isascii() and user.isdigit()
        account = pwd.getpwuid(int(user)) if is_number else pwd.getpwnam(user)
    except (KeyError, OverflowError) as error:
        if not is_number or int(user) >= 0xFFFFFFFF:
            raise SpecError("user", f"there is no user {user!r} on this host") from error
        return User(user, int(user), int(user))
    if account.pw_uid == 0:
        raise SpecError("user", "root needs no setup: its runner claims what it needs and drops")
    return User(account.pw_name, account.pw_uid, account.pw_gid)


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise HostError(
            f"{' '.join(command)}: {os.fsdecode(said).strip()}; fix that and repeat the setup"
        ) from error


class Setup:
    """One user's preparation, with every path below `root` and every program run by `run`."""

    def __init__(
        self,
        user: User,
        root: Path = Path("/"),
        run: Callable[[Sequence[str]], None] = _run,
        say: Callable[[str], None] = print,
    ) -> None:
        self._user, self._run, self._say = user, run, say
        self._etc = root / "etc"
        self._linger = root / "var/lib/systemd/linger" / user.name
        self._has_systemd = (root / "run/systemd/system").is_dir()  # sd_booted(3)
        self._state_path = root / "var/lib/sandbox/setup" / f"{user.uid}.json"
        self._state: dict[str, Any] = self._read_state()

    def do(self) -> None:
        """Grant ids, delegate cgroups, and name what only the administrator may decide."""
        self.grant_ids()
        if any("memory" in mount.controllers for mount in cgroup_mounts()):
            self._delegate_v1()
        elif self._has_systemd:
            self.delegate_by_systemd()
        else:
            self._delegate_v2()
        for fix in sysctl_fixes(facts().sysctls):
            self._say(f"to do: {fix.why}; fix: {as_text(fix)}")

    def undo(self) -> None:
        """Take back what `do` did, now or in an earlier run."""
        uid, name = self._user.uid, self._user.name
        if any("memory" in mount.controllers for mount in cgroup_mounts()):
            removed = cgroup.undelegate_v1(uid)
        elif any(mount.version == 2 for mount in cgroup_mounts()):
            removed = cgroup.undelegate_v2(uid)
        else:
            removed = []
        for directory in removed:
            self._say(f"removed {directory}")
        self.remove_units()
        for file in ("subuid", "subgid"):
            if (kept := self._state.get(file)) is None:
                continue
            grant = grants.Grant.from_json(kept)
            found = grants.revoke(self._etc / file, grant)
            line = grant.text.strip()
            self._say(f"/etc/{file}: {'removed' if found else 'no longer has'} {line}")
            self._remember(file, None)
        self._say(f"nothing of setup is left for {name}")

    def grant_ids(self) -> None:
        """Add a range to each file of subordinate ids that grants the user none it can use."""
        own = {"subuid": self._user.uid, "subgid": self._user.gid}
        range_ = None
        for file, own_id in own.items():
            path = self._etc / file
            usable, _ = read_subids(path).usable(self._user.uid, own_id)
            if usable:
                self._say(f"/etc/{file}: already grants {usable[0].start}+{usable[0].count}")
                continue
            range_ = range_ or grants.free_range(self._etc)
            grant = grants.plan_grant(path, self._user.name, range_)
            self._remember(file, grant._asdict())  # first: what is not known cannot be undone
            grants.write_grant(path, grant)
            self._say(f"/etc/{file}: added {grant.text.strip()}")
        if why := plan_base_map(self._user.uid, self._user.gid, self._etc).why:
            self._say(f"to do: {why}; until then all jobs share the user's own id")

    def delegate_by_systemd(self) -> None:
        """Have the user's systemd manager hand out all controllers, and run without a login."""
        uid, name = self._user.uid, self._user.name
        if self._put_unit(self._drop_in(), _DELEGATE):
            self._say(
                f"to do: {name} logs out and in once, or: systemctl restart user@{uid}.service"
            )
        if self._linger.exists():
            self._say(f"{name} already has a systemd manager without a login")
        else:
            self._remember("linger", True)
            self._run(["loginctl", "enable-linger", name])
            self._say(f"{name} now has a systemd manager without a login (lingering)")

    def keep_over_boots(self) -> None:
        """Have systemd make the v1 directories again at each boot, which they do not outlive."""
        service, user = self._service(), self._user
        text = boot_unit(user.name, user.uid, user.gid, v1_mounts(cgroup_mounts()))
        self._put_unit(service, text, ["systemctl", "enable", service.name])

    def remove_units(self) -> None:
        """Remove the systemd files that are ours, and lingering where we turned it on."""
        drop_in, service = self._drop_in(), self._service()
        for path in (drop_in, service):
            if not path.exists():
                continue
            if path == service:
                self._run(["systemctl", "disable", service.name])
            path.unlink()
            self._run(["systemctl", "daemon-reload"])
            self._say(f"removed {path}")
        if drop_in.parent.is_dir() and not any(drop_in.parent.iterdir()):
            drop_in.parent.rmdir()
        if self._state.get("linger"):
            self._run(["loginctl", "disable-linger", self._user.name])
            self._say(f"{self._user.name} has a systemd manager only while logged in")
            self._remember("linger", None)

    def _delegate_v1(self) -> None:
        uid, name = self._user.uid, self._user.name
        changed = cgroup.delegate_v1(uid, self._user.gid)
        for directory in changed:
            self._say(f"made {directory}")
        if not changed:
            self._say(f"cgroup v1: {name} already has sandbox/{uid} in every hierarchy")
        if self._has_systemd:
            self.keep_over_boots()
        else:
            self._say("to do: repeat this at each boot, cgroup v1 directories do not outlive one")

    def _delegate_v2(self) -> None:
        directory = cgroup.delegate_v2(self._user.uid, self._user.gid)
        self._say(f"cgroup v2: {directory} is {self._user.name}'s")
        # v2 asks for rights over the common ancestor too, so nobody can enter by himself.
        self._say(
            "to do: without systemd, root must put each session there before it becomes "
            f"{self._user.name}: echo $$ > {directory}/entry/cgroup.procs; "
            "repeat all of this at each boot"
        )

    def _drop_in(self) -> Path:
        directory = self._etc / f"systemd/system/user@{self._user.uid}.service.d"
        return directory / "sandbox-delegate.conf"

    def _service(self) -> Path:
        return self._etc / f"systemd/system/sandbox-setup-{self._user.uid}.service"

    def _put_unit(self, path: Path, text: str, *then: Sequence[str]) -> bool:
        if path.exists() and path.read_text() == text:
            self._say(f"{path} is already there")
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        try:
            for command in (["systemctl", "daemon-reload"], *then):
                self._run(command)
        except HostError:
            path.unlink()  # or a repeated setup would take all of this for done
            raise
        self._say(f"made {path}")
        return True

    def _read_state(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads(self._state_path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise HostError(
                f"{self._state_path}: {error}; fix: remove it (undo then leaves the ids granted)"
            ) from error
        return state

    def _remember(self, key: str, value: object) -> None:
        """Keep `value` under `key` for undo, or forget it; the file goes with the last of them."""
        self._state = {k: v for k, v in self._state.items() if k != key}
        if value is not None:
            self._state[key] = value
        if not self._state:
            self._state_path.unlink(missing_ok=True)
            return
        self._state_path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._state_path.with_suffix(".new")
        temporary.write_text(json.dumps(self._state, indent=1) + "\n")
        temporary.rename(self._state_path)
