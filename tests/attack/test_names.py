"""Names that a job gives itself: any bytes, in what the supervisor reads of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = """
#include <sys/prctl.h>
#include <sys/ptrace.h>

int main(int argc, char **argv) {
    prctl(PR_SET_NAME, argv[1]);
    ptrace(PTRACE_ATTACH, 1, 0, 0);
    return 0;
}
"""


@pytest.mark.parametrize(
    "name",
    [
        b"plain",
        b"\xff\xfe",
        b"a\x0cNSpid:\t1 77",
        b"a\nNSpid:\t1 77",
        b"a\xc2\x85NSpid:\t77",
        b"\x1b[2J",
    ],
    ids=ascii,
)
def test_a_violation_is_told_whatever_its_process_is_called(
    name: bytes, compile_c: Callable, run_sandbox: Callable, tmp_path: Path, leftovers: None
) -> None:
    source = tmp_path / "named.c"
    source.write_text(SOURCE)
    program = compile_c(source)
    outcome = run_sandbox(
        "--copy", program, "--", "./named", name.decode("utf-8", "surrogateescape")
    )
    assert outcome.result is not None, outcome.stderr
    assert (outcome.result["verdict"], outcome.returncode) == ("violation", 159)
    (evidence,) = outcome.result["evidence"]
    assert evidence == "seccomp: ptrace(PTRACE_ATTACH, 1, 0x0, 0x0) by pid 2"
