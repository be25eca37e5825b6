"""What closes a gap of the host, as data: the table for people and the script are made from it."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["Fix", "as_script", "as_text", "own_command", "split_fix"]

_WIDTH = 100
_HEAD = """\
#!/bin/sh
# What closes the gaps that `sandbox doctor` found for uid {uid}. Read it; then run it as root.
# Each command may be run again. Nothing here has been done yet.
set -eu
"""


class Fix(NamedTuple):
    """One gap, and what closes it: commands, or, where none of this host can, an advice."""

    why: str
    commands: tuple[str, ...] = ()  # for sh(1) as root, each on its own; may be repeated
    costs: str = ""  # what they weaken, end or open, and how long they last
    advice: str = ""  # what to change elsewhere: the container's options, the unit, the kernel


def as_text(fix: Fix) -> str:
    """The fix for the table: a line each for its commands, or the advice."""
    if not fix.commands:
        return fix.advice
    return "\n".join(f"{command} (as root)" for command in fix.commands)


def as_script(fixes: Iterable[Fix], uid: int) -> str:
    """A script of every command, each said what it closes and costs; "" where nothing is to do.

    A fix of several gaps is there once. An advice is a comment.
    """
    parts: list[str] = []
    seen: set[str] = set()
    for fix in dict.fromkeys(fixes):
        lines = _comment(fix.why)
        if fix.costs:
            lines += _comment(f"costs: {fix.costs}")
        if not fix.commands:
            lines += _comment(f"to do elsewhere: {fix.advice}")
        for command in fix.commands:
            lines += ["# (the same command as above)"] if command in seen else [command]
        seen.update(fix.commands)
        parts.append("\n".join(lines))
    if not parts:
        return ""
    return "\n\n".join([_HEAD.format(uid=uid).rstrip(), *parts])


def split_fix(message: str) -> tuple[str, str]:
    """Our messages end with "; fix: …": what comes before, and the fix."""
    detail, _, fix = message.partition("; fix: ")
    return detail, fix


def own_command(*words: str) -> str:
    """This program with other arguments, for a root shell that knows nothing of ours."""
    import shlex  # what jobs need of this module's callers is not to load it

    program = Path(sys.executable).with_name("sandbox")
    packages = Path(__file__).resolve().parents[2]
    if packages.name == "site-packages" and program.exists():
        return shlex.join([str(program), *words])
    # -P: what lies in root's working directory is not imported.
    return shlex.join(
        ["env", f"PYTHONPATH={packages}", sys.executable, "-P", "-m", "sandbox", *words]
    )


def _comment(text: str) -> list[str]:
    import textwrap

    # Names of files and units are in it: no line break of theirs may end the comment.
    plain = " ".join(text.split())
    return [f"# {line}" for line in textwrap.wrap(plain, _WIDTH - 2, break_long_words=False)]
