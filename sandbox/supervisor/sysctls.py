"""The sysctls that can forbid what a sandbox needs, and how root sets them for good."""

import sys
from collections.abc import Mapping
from pathlib import Path

from sandbox.supervisor.fix import Fix

__all__ = ["FORBIDDING", "MEMFD", "NO_ATTACH", "YAMA", "read_sysctl", "sysctl_fix", "sysctl_fixes"]

YAMA = "kernel.yama.ptrace_scope"
NO_ATTACH = 3  # its highest value; nothing but a boot lowers it
MEMFD = "vm.memfd_noexec"
_APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
_APPARMOR_PROFILE = """\
abi <abi/4.0>,
include <tunables/global>
profile sandbox "{python}" flags=(unconfined) {{
  userns,
}}"""
_MORE_KERNEL = "every user can reach the kernel code behind user namespaces"
# The value that forbids a sandbox, one that does not, and what that costs.
FORBIDDING: Mapping[str, tuple[int, int, str]] = {
    "user.max_user_namespaces": (0, 28633, _MORE_KERNEL),
    "kernel.unprivileged_userns_clone": (0, 1, _MORE_KERNEL),  # Debian's
    _APPARMOR: (1, 0, _MORE_KERNEL),  # Ubuntu's, from 23.10
    # A sandbox begins as a program in a memfd.
    MEMFD: (
        2,
        1,
        "programs in memory files that ask for it can be executed again; before Linux 6.6 only "
        "a boot lowers it",
    ),
}


def read_sysctl(name: str) -> int | None:
    """Its number, or None where this kernel, or what we see of /proc, has none such."""
    try:
        return int((Path("/proc/sys") / name.replace(".", "/")).read_text())
    except (OSError, ValueError):
        return None


def sysctl_fixes(sysctls: Mapping[str, int]) -> tuple[Fix, ...]:
    """The fix of each of these sysctls that forbids ordinary users a sandbox."""
    found = []
    for name, (forbidden, allowed, costs) in FORBIDDING.items():
        if sysctls.get(name) != forbidden:
            continue
        why = f"{name} is {forbidden}"
        found.append(
            _apparmor_fix(why) if name == _APPARMOR else sysctl_fix(name, allowed, why, costs)
        )
    return tuple(found)


def sysctl_fix(name: str, value: int, why: str, costs: str) -> Fix:
    """Set it now and at each boot; sysctl.d(5)."""
    # A file for each, so that none overwrites another; late, so that it wins.
    path = f"/etc/sysctl.d/99-sandbox-{name}.conf"
    return Fix(why, (f"echo {name}={value} > {path}", f"sysctl -q -p {path}"), costs)


def _apparmor_fix(why: str) -> Fix:
    import shlex

    # The kernel sees the interpreter, never the script: hence the file behind the links.
    profile = _APPARMOR_PROFILE.format(python=Path(sys.executable).resolve())
    lines = shlex.join(profile.split("\n"))
    path = "/etc/apparmor.d/sandbox"
    return Fix(
        why,
        (f"printf '%s\\n' {lines} > {path}", f"apparmor_parser -r {path}"),
        "every program of this interpreter may make user namespaces, so give sandbox one of its "
        "own (python3 -m venv --copies)",
    )
