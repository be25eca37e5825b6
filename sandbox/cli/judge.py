"""`sandbox judge`: what its words mean. The judge is loaded when they are understood."""

from __future__ import annotations

from pathlib import Path

from sandbox.cli.options import Option, help_lines, parse_options_anywhere
from sandbox.spec.errors import SpecError
from sandbox.spec.quantities import parse_count, parse_seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["run"]

_OPTIONS = {
    "--language": Option("of the submissions (default: by their names and contents)", "CODE"),
    "--jobs": Option("so many runs at once, each on a core of its own (default: all cores)", "N"),
    "--time-limit": Option("instead of the package's", "SECONDS"),
    "--all": Option("run every test, also those that cannot matter any more"),
    "--transcript": Option("print the dialogues of an interactive problem"),
    "--verify": Option("check the package: its data by its validators, and its own submissions"),
    "--json": Option("everything as a JSON document: to stdout, or to FILE", "FILE", True),
    "--help": Option("show this"),
}
_USAGE = """\
Usage: sandbox judge PROBLEM SUBMISSION… [OPTIONS]
       sandbox judge --verify PROBLEM [OPTIONS]
       sandbox judge languages [--json]
       sandbox judge calibrate [--json] [--reference FILE] [PROBLEM…]
       sandbox judge worker --config FILE

A run whose CPU time is within 10 % of the limit, and that something disturbed (other runs, load,
steal, throttling, a governor), is run again alone; the last one counts.

`calibrate` measures this host by small programs in several languages, and holds it against another
one; or, of each PROBLEM, what limit its accepted submissions need, and whether those that are to
exceed it do: 1 where that is not to be trusted.

PROBLEM is a problem package (Kattis/ICPC legacy, with DOMjudge's additions, or 2023-07-draft and
later): its directory, or a zip or tar of it. A SUBMISSION is a source file, or a directory of them.
The exit code is 0 if every submission was accepted, or was as expected; 1 if not; 125 for an error
of the judge or of the package."""


def run(words: Sequence[str]) -> int:
    """Run the command; the exit code. Raises SandboxError."""
    if words[:1] == ["languages"]:
        return _languages(words[1:])
    if words[:1] == ["calibrate"]:
        return _calibrate(words[1:])
    if words[:1] == ["worker"]:
        return _worker(words[1:])
    values, rest = _understood(words, _OPTIONS)
    if "--help" in values:
        return 0
    if not rest:
        raise SpecError("PROBLEM", "is missing; see sandbox judge --help")
    verifies = "--verify" in values
    if verifies and len(rest) > 1:
        raise SpecError("--verify", "judges the package's own submissions; name none")
    if not verifies and len(rest) == 1:
        raise SpecError("SUBMISSION", "is missing; or write --verify to judge the package's own")
    limit = values.get("--time-limit")
    from sandbox.judge.command import Request, judge

    return judge(
        Request(
            problem=Path(rest[0]),
            submissions=tuple(map(Path, rest[1:])),
            language=values.get("--language"),
            jobs=_jobs(values),
            time_limit_seconds=None
            if limit is None
            else parse_seconds(limit, "--time-limit", least=0.001, most=86400.0),
            json=Path(values["--json"] or "-") if "--json" in values else None,
            judges_all="--all" in values,
            transcribes="--transcript" in values,
        )
    )


def _understood(
    words: Sequence[str], options: Mapping[str, Option]
) -> tuple[dict[str, str | None], list[str]]:
    """The options that were given, and the other words. Help is printed where it is asked for."""
    given, rest = parse_options_anywhere(words, options)
    values = dict(given)
    if "--help" in values:
        print(f"{_USAGE}\n\n{help_lines(options)}")
    return values, rest


def _worker(words: Sequence[str]) -> int:
    options = {
        "--config": Option("which DOMjudge server, and where to keep what it needs", "FILE"),
        **{name: _OPTIONS[name] for name in ("--jobs", "--help")},
    }
    values, rest = _understood(words, options)
    if "--help" in values:
        return 0
    config = values.get("--config")
    if config is None:
        raise SpecError("--config", "is missing; see docs/domjudge.md")
    if rest:
        raise SpecError(rest[0], "worker takes options only")
    from sandbox.judge.domjudge.command import run_worker

    return run_worker(Path(config), _jobs(values))


def _calibrate(words: Sequence[str]) -> int:
    options = {
        "--reference": Option("the other host: what calibrate --json has printed there", "FILE"),
        **{name: _OPTIONS[name] for name in ("--json", "--help")},
    }
    values, rest = _understood(words, options)
    if "--help" in values:
        return 0
    if values.get("--json"):
        raise SpecError("--json", "goes to stdout here; name no file")
    reference = values.get("--reference")
    if rest and reference is not None:
        raise SpecError("--reference", "is for a host; name no PROBLEM")
    from sandbox.judge.calibrate import calibrate

    return calibrate(
        [Path(word) for word in rest],
        reference=None if reference is None else Path(reference),
        as_json="--json" in values,
    )


def _jobs(values: Mapping[str, str | None]) -> int | None:
    jobs = values.get("--jobs")
    return None if jobs is None else parse_count(jobs, "--jobs", least=1, most=4096)


def _languages(words: Sequence[str]) -> int:
    options = {name: _OPTIONS[name] for name in ("--json", "--help")}
    values, rest = _understood(words, options)
    if "--help" in values:
        return 0
    if rest:
        raise SpecError(rest[0], "languages takes options only")
    from sandbox.judge.language_command import show_languages

    return show_languages(as_json="--json" in values)
