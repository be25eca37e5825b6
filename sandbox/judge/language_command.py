"""`sandbox judge languages`: which languages this host has."""

from __future__ import annotations

import json

from sandbox.judge.cores import Cores
from sandbox.judge.here import opened
from sandbox.judge.interrupt import run_until_signal
from sandbox.judge.toolchain import language_lines, report_languages

__all__ = ["show_languages"]


def show_languages(*, as_json: bool) -> int:
    """Ask each compiler, in a sandbox, for its version, and print what there is."""

    async def main() -> int:
        async with opened(Cores()) as here:
            found = await report_languages(here.languages, here.runner)
        if as_json:
            print(json.dumps([report._asdict() for report in found], indent=2))
        else:
            print("\n".join(language_lines(found)))
        return 0

    return run_until_signal(main)
