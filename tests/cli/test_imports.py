"""The import budget: exactly what a command may load before it does anything.

Every module costs each start some tenth of a millisecond, some cost ten. A command that loads one
that is not listed here fails. To find out who imports it and what it costs, run
`python -X importtime -m sandbox …`. Then import it where it is used, or add it to the list of the
least demanding command that needs it.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Runs sandbox as `-m` does, up to where it would end or bring up a supervisor, and says what is
# loaded.
WATCH = """
import os, runpy, sys
end = os._exit

def tell(*_, **__):
    os.write(2, "\\n".join(["", *set(sys.modules) - {"sandbox.cli.inprocess"}]).encode())
    end(0)

os._exit = tell
inprocess = sys.modules["sandbox.cli.inprocess"] = type(sys)("sandbox.cli.inprocess")
inprocess.run_job = tell
inprocess.parse_kept = lambda text: __import__("tomllib").loads(text.decode())
runpy.run_module("sandbox", run_name="__main__", alter_sys=True)
"""
# What a list of modules loads, those included that they import themselves.
LOADED = "import runpy, sys, {names}; print(*sys.modules, sep='\\n', file=sys.stderr)"

# What any command loads, to say what it can do or that it was asked for something else.
WORDS = {
    "sandbox",
    "sandbox.cli",
    "sandbox.cli.exit_code",
    "sandbox.cli.main",
    "sandbox.cli.options",
    "sandbox.spec",
    "sandbox.spec.errors",
    "sandbox.spec.fields",
}
# What says how to call the judge; nothing of the judge itself.
JUDGE_WORDS = WORDS | {"sandbox.cli.judge", "sandbox.spec.quantities"}
RUN_WORDS = WORDS | {"sandbox.cli.job_options", "sandbox.cli.run"}
# What reads the options of a job.
JOB = RUN_WORDS | {
    "sandbox.cli.document",
    "sandbox.spec.job",
    "sandbox.spec.limits",
    "sandbox.spec.paths",
    "sandbox.spec.quantities",
}
# What reads its policy.
POLICY = JOB | {
    "sandbox.spec.constants",
    "sandbox.spec.policy",
    "sandbox.spec.rules",
    "sandbox.spec.toml_file",
}
# What a command that asks a server must do without.
DEAR = {"asyncio", "dataclasses", "pathlib", "re", "socket", "ssl", "subprocess", "trio", "typing"}

# Of the standard library, beside what these import themselves.
FEW = {"__future__", "collections.abc", "errno"}
GUESS = FEW | {"difflib", "re"}
READ = FEW | {"math", "pathlib", "re", "typing"}
PARSE = READ | {"tomllib"}

BUDGETS = {
    "--version": (WORDS, FEW),
    "--help": (WORDS, FEW),
    "doctor --help": (WORDS, FEW),
    "setup": (WORDS, FEW),
    "rum": (WORDS, GUESS),
    "judge --help": (JUDGE_WORDS, READ),
    "judge": (JUDGE_WORDS, READ),
    "run --help": (RUN_WORDS, FEW),
    "run --memory": (RUN_WORDS, FEW),
    "run --memry 1 true": (RUN_WORDS, GUESS),
    "run --memory 1MB true": (JOB, READ),
    "run true": (POLICY, PARSE),
}


@pytest.mark.parametrize(("words", "budget"), BUDGETS.items(), ids=BUDGETS)
def test_a_command_loads_what_its_budget_lists(
    words: str, budget: tuple[set[str], set[str]]
) -> None:
    ours, library = budget
    loaded = _modules(WATCH, *words.split())
    assert {name for name in loaded if name.split(".")[0] == "sandbox"} == ours
    assert library <= loaded, "the budget lists what is not needed any more"
    allowed = _modules(LOADED.format(names=", ".join(library)))
    assert loaded - ours <= allowed


def test_a_job_for_a_server_is_sent_without_what_costs_more_than_it() -> None:
    loaded = _modules(WATCH, "run", "--host", "unix:/nowhere", "--memory", "1GiB", "--", "true")
    assert "sandbox.client.link" in loaded
    assert not loaded & DEAR
    assert not {
        name for name in loaded if name.startswith(("sandbox.supervisor", "sandbox.server"))
    }


def _modules(code: str, *words: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    return {line for line in done.stderr.splitlines() if not line.startswith("sandbox: ")} - {""}
