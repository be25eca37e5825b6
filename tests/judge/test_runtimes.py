"""What a run of each runtime may use: a stack and a heap of the problem's size, and no more."""

from pathlib import Path
from typing import NamedTuple

import pytest
from judge.building import build_in, needed, run_built, write
from judge.local import LocalRunner, run
from judge.packages import one_test
from judge.packages import submission as submitted
from judge.real import judge_here

from sandbox.judge.building import Built
from sandbox.judge.problem import Submission
from sandbox.spec.result import Completed

# Recursion as deep as a graph of a contest, over frames that no compiler takes away.
DEEP = {
    "c": ("a.c", "#include <stdio.h>\n"
          "int f(int n) { volatile int x = n; return n ? f(n - 1) + x - n : 0; }\n"
          'int main(void) { printf("%d\\n", f(1000000)); }\n'),
    "java": ("A.java", "class A { static int f(int n) { return n == 0 ? 0 : 1 + f(n - 1); }\n"
             "public static void main(String[] w) { System.out.println(f(300000) - 300000); } }\n"),
    "javascript": ("a.js", "const f = n => n ? 1 + f(n - 1) : 0\n"
                   "console.log(f(300000) - 300000)\n"),
    "python3": ("a.py", "import sys\nsys.setrecursionlimit(10**6)\n"
                "f = lambda n: n and 1 + f(n - 1)\nprint(f(100000) - 100000)\n"),
    "ocaml": ("a.ml", "let rec f n = if n = 0 then 0 else 1 + f (n - 1)\n"
              "let () = print_int (f 1000000 - 1000000)\n"),
    "pascal": ("a.pas", "function f(n: longint): longint;\nbegin if n = 0 then f := 0 else"
               " f := 1 + f(n - 1) end;\nbegin writeln(f(1000000) - 1000000) end.\n"),
    "haskell": ("a.hs", "main = print (foldr (+) 0 [1 .. 1000000 :: Int] - 500000500000)\n"),
}  # fmt: skip


class Heap(NamedTuple):
    name: str
    source: str  # takes argument-many MiB, and says so


HEAP = {
    "java": Heap("A.java", "class A { public static void main(String[] w) {"
                 " byte[][] all = new byte[Integer.parseInt(w[0])][];"
                 " for (int i = 0; i < all.length; i++) {"
                 " all[i] = new byte[(1 << 20) - 64]; all[i][i] = 1; }"
                 ' System.out.println("taken"); } }\n'),
    "javascript": Heap("a.js", "const all = []\n"
                       "for (let i = 0; i < Number(process.argv[2]) * 8; i++)"
                       " all.push(new Array(16384).fill(0.5))\n"
                       "console.log('taken')\n"),
    "python3": Heap("a.py", "import sys\nall = b'x' * (int(sys.argv[1]) << 20)\nprint('taken')\n"),
    "c": Heap("a.c", "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
              "int main(int n, char **w) { size_t size = (size_t)atoi(w[1]) << 20;"
              ' char *all = malloc(size); memset(all, 1, size); puts(all[5] ? "taken" : ""); }\n'),
}  # fmt: skip


@pytest.mark.parametrize("code", DEEP)
def test_recursion_is_bounded_by_the_memory_not_by_a_small_stack(code: str, tmp_path: Path) -> None:
    needed(code)
    submission = Submission("it", write(tmp_path / "it", dict([DEEP[code]])))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        done = await run_built(runner, built, b"")
        assert done.stdout.strip() == b"0", (done.result.evidence, done.result.signal, done.stderr)

    run(main)


@pytest.mark.parametrize("code", HEAP)
def test_a_program_may_have_nearly_the_limit_and_not_more(code: str, tmp_path: Path) -> None:
    needed(code)
    submission = Submission("it", write(tmp_path / "it", {HEAP[code].name: HEAP[code].source}))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        done = await run_built(runner, built, b"", b"160")
        assert done.stdout == b"taken\n", (done.result.evidence, done.stderr)
        done = await run_built(runner, built, b"", b"300")
        assert done.stdout == b""
        assert _is_told_as_memory(built, done), (done.result, done.stderr)

    run(main)


def test_a_validator_may_recurse_as_deep_as_a_submission(tmp_path: Path, cache: None) -> None:
    needed("c")
    validator = DEEP["c"][1].replace('printf("%d\\n", f(1000000));', "return f(1000000) + 42;")
    assert "+ 42" in validator
    files = {"output_validators/v.c": validator}
    problem = one_test(tmp_path / "p", files, yaml="validation: custom\n")
    (judgement,) = judge_here(problem, "print(17)\n")
    assert judgement.verdict == "AC", judgement.tests


def test_a_full_heap_is_told_in_a_dialogue_too(tmp_path: Path, cache: None) -> None:
    needed("java")
    yaml = "validation: custom interactive\nlimits: {time_limit: 30, memory: 64}\n"
    problem = one_test(
        tmp_path / "p", {"output_validators/ask.py": "print(300)\ninput()\n"}, yaml=yaml
    )
    hog = HEAP["java"].source.replace("w[0]", '"300"')
    (judgement,) = judge_here(problem, submitted(tmp_path / "s", "A.java", hog))
    assert judgement.verdict == "MLE", judgement.tests


def _is_told_as_memory(built: Built, done: Completed) -> bool:
    said = done.stderr.decode(errors="replace")
    return done.result.verdict == "memory" or any(
        sign in said for sign in built.language.out_of_memory
    )
