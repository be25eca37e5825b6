"""The command line: `sandbox run | policy | doctor | setup`."""

import argparse
import sys
from collections.abc import Sequence

import sandbox
from sandbox.cli import policy, run
from sandbox.spec.errors import SandboxError

__all__ = ["OUR_FAILURE", "main"]

OUR_FAILURE = 125  # what env(1), timeout(1) and docker use for "the runner itself failed"


class _Parser(argparse.ArgumentParser):
    """argparse, with the exit code that every failure of ours has."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(OUR_FAILURE, f"sandbox: {message}; see: {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. Failures of ours are one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _Parser(prog="sandbox", description=sandbox.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"sandbox {sandbox.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    run.add_parser(commands)
    policy.add_parser(commands)
    doctor = commands.add_parser("doctor", help="what this host can do, and the fix for each gap")
    doctor.add_argument("--json", action="store_true", help="the same as a JSON document")
    doctor.set_defaults(run=_doctor)
    setup = commands.add_parser("setup", help="prepare this host for a user's jobs, as root")
    setup.add_argument("--user", required=True, metavar="NAME")
    setup.add_argument("--undo", action="store_true", help="take back what setup did")
    setup.set_defaults(run=_setup)
    try:
        options = parser.parse_args(run.close_options(words))
        code: int = options.run(options)
    except SandboxError as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return OUR_FAILURE
    except BrokenPipeError:  # whoever read our output has gone
        return OUR_FAILURE
    return code


def _doctor(options: argparse.Namespace) -> int:
    from sandbox.cli.inprocess import doctor

    return doctor(json=options.json)


def _setup(options: argparse.Namespace) -> int:
    from sandbox.cli.inprocess import setup

    return setup(options.user, undo=options.undo)
