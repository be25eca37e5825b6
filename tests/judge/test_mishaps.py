"""What a program of each language does wrong comes to its verdict: it fails, takes all memory, does
not end, is none."""

import os
import textwrap
from pathlib import Path
from typing import NamedTuple

import pytest
from judge.building import LIMITS, build_in, needed, write
from judge.local import LocalRunner, run

from sandbox.judge.building import Built
from sandbox.judge.compilation import NotBuilt
from sandbox.judge.execution import TimeLimit, failure_of, submission_job
from sandbox.judge.problem import Submission
from sandbox.judge.problem import Test as Case
from sandbox.judge.runner import Order


class Mishaps(NamedTuple):
    """A program that fails where it reads 1, takes all memory at 2, and does not end at 3; and one
    that does not compile: "", where a language has none."""

    name: str
    program: str
    broken: str


MISHAPS = {
    "awk": Mishaps("a.awk", """
        $1 == 1 { exit 3 }
        $1 == 2 { while (1) all[n++] = sprintf("%1000d", n) }
        $1 == 3 { while (1) n++ }
    """, '{ print $1'),
    "r": Mishaps("a.R", """
        what <- scan(file("stdin"), quiet = TRUE)
        if (what == 1) stop("no")
        if (what == 2) { all <- list(); while (TRUE) all[[length(all) + 1]] <- runif(1e6) }
        while (TRUE) what <- what + 1
    """, 'cat("x"'),
    "scala": Mishaps("a.scala", """
        object A {
          def main(words: Array[String]) {
            val what = scala.io.StdIn.readInt()
            if (what == 1) sys.error("no")
            var all = List[Array[Int]]()
            while (what == 2) all ::= new Array[Int](100000)
            while (true) {}
          }
        }
    """, 'object A { def main(words: Array[String]) { val n: Int = "no" } }'),
    "erlang": Mishaps("a.erl", """
        -module(a).
        -export([main/0]).
        main() -> {ok, [What]} = io:fread("", "~d"), run(What, []).
        run(1, _) -> error(no);
        run(2, All) -> run(2, [lists:seq(1, 10000) | All]);
        run(3, All) -> run(3, All).
    """, '-module(a).\n-export([main/0]).\nmain() -> X.'),
    "elixir": Mishaps("a.ex", """
        defmodule Mishap do
          def run(1, _), do: raise "no"
          def run(2, all), do: run(2, [Enum.to_list(1..10000) | all])
          def run(3, all), do: run(3, all)
        end
        IO.gets("") |> String.trim() |> String.to_integer() |> Mishap.run([])
    """, 'IO.puts('),
    "nim": Mishaps("a.nim", """
        import strutils
        let what = stdin.readLine.parseInt
        if what == 1: quit(3)
        var all: seq[seq[int]]
        while what == 2: all.add(newSeq[int](100000))
        var n = what
        while n != 0: n = n xor 1 or 2
    """, 'let n: int = "no"'),
    "crystal": Mishaps("a.cr", """
        what = gets.not_nil!.to_i
        raise "no" if what == 1
        all = [] of Array(Int32)
        while what == 2
          all << Array.new(100_000, 7)
        end
        while what != 0
          what = what ^ 1 | 2
        end
    """, 'n = 1 + nothing'),
    "cobol": Mishaps("a.cob", """
        IDENTIFICATION DIVISION.
        PROGRAM-ID. MISHAP.
        DATA DIVISION.
        WORKING-STORAGE SECTION.
        01 WHAT PIC 9.
        01 PLACE USAGE POINTER.
        01 TAKEN PIC X(1000000) BASED.
        PROCEDURE DIVISION.
            ACCEPT WHAT.
            IF WHAT = 1 THEN CALL "NO-SUCH-PROGRAM" END-IF.
            IF WHAT = 2 THEN
                PERFORM UNTIL WHAT = 0
                    ALLOCATE TAKEN
                    MOVE ALL "X" TO TAKEN
                END-PERFORM
            END-IF.
            PERFORM UNTIL WHAT = 0
                CONTINUE
            END-PERFORM.
            STOP RUN.
    """, "PROGRAM-ID. A.\nPROCEDURE DIVISION.\n    MOVE 1 TO NOTHING."),
    "octave": Mishaps("a.m", """
        what = fscanf(stdin, '%d');
        if what == 1
          error('no');
        end
        all = {};
        while what == 2
          all{end + 1} = rand(1000, 100);
        end
        while true
        end
    """, ''),
    "scheme": Mishaps("a.scm", """
        (define what (read))
        (define all '())
        (if (= what 1) (error "no"))
        (if (= what 2) (let more () (set! all (cons (make-vector 10000 0) all)) (more)))
        (let spin () (spin))
    """, '(display (+ 1 2)'),
    "racket": Mishaps("a.rkt", """
        #lang racket
        (define what (read))
        (define all '())
        (when (= what 1) (error "no"))
        (when (= what 2) (let more () (set! all (cons (make-vector 10000 0) all)) (more)))
        (let spin () (spin))
    """, '#lang racket\n(display nothing)'),
    "forth": Mishaps("a.fth", """
        : hog begin 1000000 allocate throw 1000000 255 fill again ;
        : spin begin again ;
        stdin key-file
        dup char 1 = [if] -1 throw [then]
        dup char 2 = [if] hog [then]
        spin
    """, ''),
    "algol68": Mishaps("a.a68", """
        BEGIN
          INT what; read(what);
          IF what = 1 THEN what OVERAB (what - 1) FI;
          IF what = 2 THEN
            MODE NODE = STRUCT(REF NODE next, [100000] REAL values);
            REF NODE all := NIL;
            DO HEAP NODE node; next OF node := all; all := node OD
          FI;
          DO what := 3 OD
        END
    """, 'BEGIN INT a; b := a END'),
    "modula2": Mishaps("a.mod", """
        MODULE a;
        FROM SWholeIO IMPORT ReadInt;
        FROM Storage IMPORT ALLOCATE;
        FROM SYSTEM IMPORT ADDRESS;
        TYPE Block = ARRAY [0..100000] OF INTEGER;
        VAR what, i: INTEGER; place: POINTER TO Block;
        BEGIN
           ReadInt(what);
           IF what = 1 THEN HALT(3) END;
           WHILE what = 2 DO
              NEW(place);
              FOR i := 0 TO 100000 DO place^[i] := i END
           END;
           LOOP what := 3 END
        END a.
    """, 'MODULE a;\nBEGIN\n   b := 1\nEND a.'),
}  # fmt: skip
VERDICTS = {b"1": {"RTE"}, b"2": {"MLE", "RTE"}, b"3": {"TLE"}}


@pytest.mark.parametrize("code", MISHAPS)
def test_what_goes_wrong_is_told(code: str, tmp_path: Path, leftovers: None) -> None:
    needed(code)
    mishaps = MISHAPS[code]
    source = {mishaps.name: textwrap.dedent(mishaps.program).lstrip()}
    submission = Submission("it", write(tmp_path / "it", source))
    test, core = Case("1", None, None), min(os.sched_getaffinity(0))

    async def main(runner: LocalRunner) -> None:
        built = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(built, Built), built
        assert built.language.code == code
        for what, verdicts in VERDICTS.items():
            time = TimeLimit.of(1.0 if what == b"3" else 10.0)
            job = submission_job(built, test, LIMITS, time, core)
            done = await runner.run(Order(job, what + b"\n"))
            failure = failure_of(done, built, time)
            assert failure is not None, (what, done.stdout)
            assert failure.verdict in verdicts, (what, failure, done.stderr)

    run(main)


@pytest.mark.parametrize("code", [code for code, mishaps in MISHAPS.items() if mishaps.broken])
def test_what_does_not_compile_is_told(code: str, tmp_path: Path) -> None:
    needed(code)
    source = {MISHAPS[code].name: MISHAPS[code].broken + "\n"}
    submission = Submission("it", write(tmp_path / "it", source))

    async def main(runner: LocalRunner) -> None:
        outcome = await build_in(runner, tmp_path / "cache", submission)
        assert isinstance(outcome, NotBuilt), outcome
        assert outcome.output, "the compiler says why"

    run(main)
