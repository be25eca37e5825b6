"""`sandbox setup`: run once by an administrator, so that a user can run jobs without root."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

from sandbox.spec.errors import HostError, SpecError
from sandbox.supervisor.identity import plan_base_map
from sandbox.supervisor.setup_cgroups import Grantee, Host, delegate, undelegate
from sandbox.supervisor.setup_ids import grant_ranges, locked_accounts, revoke

__all__ = ["main"]


def main(user: str, undo: bool, host: Host | None = None) -> int:
    """Give `user` subordinate ids and cgroups, or take back what an earlier run gave.

    Prints each thing that it does; may be repeated. What was given is kept in
    /var/lib/sandbox/setup, so that `undo` removes that and nothing else. Raises SpecError: no such
    user; HostError: not root, or the host refuses.
    """
    grantee = _find(user)
    if os.geteuid() != 0:
        option = " --undo" if undo else ""
        raise HostError(f"setup needs root; fix: sudo sandbox setup --user {user}{option}")
    host = host or Host()
    done = _undo(host, grantee) if undo else _apply(host, grantee)
    for line in done or [f"nothing to {'undo' if undo else 'do'} for {grantee.name}"]:
        print(line)
    return 0


def _find(user: str) -> Grantee:
    try:
        is_number = user.isascii() and user.isdigit() and len(user) <= 10
        entry = pwd.getpwuid(int(user)) if is_number else pwd.getpwnam(user)
    except (KeyError, OverflowError, ValueError) as error:
        raise SpecError("--user", f"{user!r} has no account here; give a login name") from error
    if entry.pw_uid == 0:
        raise SpecError("--user", "root needs no setup: it takes what it needs, then drops itself")
    return Grantee(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _apply(host: Host, grantee: Grantee) -> list[str]:
    etc, state = host.root / "etc", _load(host, grantee)
    with locked_accounts(etc):
        granted = grant_ranges(etc, grantee.name, grantee.uid, grantee.gid)
        if granted:
            state["granted"] = state.get("granted", {}) | granted
            _save(host, grantee, state)
    done = [f"{etc / file}: added {text.strip()}" for file, text in granted.items()]
    steps, facts = delegate(host, grantee)
    if facts:
        _save(host, grantee, state | facts)
    base = plan_base_map(grantee.uid, grantee.gid, etc)
    hints = [] if base.ranges else [f"still missing: {base.why}"]
    return done + steps + hints


def _undo(host: Host, grantee: Grantee) -> list[str]:
    etc, state = host.root / "etc", _load(host, grantee)
    # First what refuses while a job runs: its ids must stay until then.
    done = undelegate(host, grantee, did_linger=state.get("did_linger", False))
    with locked_accounts(etc):
        for file, text in state.get("granted", {}).items():
            was_there = revoke(etc, file, text)
            word = "removed" if was_there else "somebody else removed"
            done.append(f"{etc / file}: {word} {text.strip()}")
    _state_path(host, grantee).unlink(missing_ok=True)
    return done


def _state_path(host: Host, grantee: Grantee) -> Path:
    return host.root / "var/lib/sandbox/setup" / f"{grantee.uid}.json"


def _load(host: Host, grantee: Grantee) -> dict[str, Any]:
    path = _state_path(host, grantee)
    return json.loads(path.read_text()) if path.exists() else {}


def _save(host: Host, grantee: Grantee, state: dict[str, Any]) -> None:
    path = _state_path(host, grantee)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(state))
