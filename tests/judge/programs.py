"""The same small program in each language: it adds two numbers of its input."""

from __future__ import annotations

import textwrap
from typing import Any, NamedTuple

__all__ = ["PROGRAMS", "Sample"]


class Sample(NamedTuple):
    """Sources by name, and the code of their language."""

    code: str
    files: dict[str, str]
    entry_point: str | None = None
    is_named: bool = False  # by who submits it: nothing else tells this language
    needs: str = ""  # of the host's files, beside the language's tools


def _one(code: str, name: str, text: str, **more: Any) -> Sample:
    return Sample(code, {name: textwrap.dedent(text).lstrip()}, **more)


PROGRAMS = [
    _one("c", "sum.c", """
        #include <stdio.h>
        #include <math.h>
        int main(void) { long a, b; if (scanf("%ld %ld", &a, &b) != 2) return 1;
            printf("%ld\\n", a + b + (long)floor(sqrt(a - a))); }
    """),
    _one("cpp", "sum.cpp", """
        #include <bits/stdc++.h>
        int main() { long a, b, sum = 0; std::cin >> a >> b;
            std::thread adder([&] { sum = a + b; }); adder.join(); std::cout << sum << '\\n'; }
    """),
    _one("java", "Sum.java", """
        import java.util.Scanner;
        class Helper { static long add(long a, long b) { return a + b; } }
        public class Sum { public static void main(String[] words) {
            Scanner in = new Scanner(System.in);
            System.out.println(Helper.add(in.nextLong(), in.nextLong())); } }
    """),
    _one("kotlin", "sum.kt", """
        fun main() { println(readLine()!!.split(" ").map { it.toLong() }.sum()) }
    """),
    _one("python3", "sum.py", """
        print(sum(map(int, input().split())))
    """),
    _one("pypy3", "sum.py", """
        #!/usr/bin/env pypy3
        print(sum(map(int, input().split())))
    """),
    _one("go", "sum.go", """
        package main
        import "fmt"
        func main() { var a, b int64; fmt.Scan(&a, &b); fmt.Println(a + b) }
    """),
    _one("rust", "sum.rs", """
        fn main() { let mut text = String::new(); std::io::stdin().read_line(&mut text).unwrap();
            let numbers = text.split_whitespace().map(|word| word.parse::<i64>().unwrap());
            println!("{}", numbers.sum::<i64>()) }
    """),
    _one("javascript", "sum.js", """
        const words = require('fs').readFileSync(0, 'utf8').trim().split(/ /)
        console.log(Number(words[0]) + Number(words[1]))
    """),
    _one("typescript", "sum.ts", """
        declare function require(name: string): any
        const words: string[] = require('fs').readFileSync(0, 'utf8').trim().split(/ /)
        console.log(Number(words[0]) + Number(words[1]))
    """),
    _one("pascal", "sum.pas", """
        var a, b: int64;
        begin readln(a, b); writeln(a + b) end.
    """),
    _one("haskell", "sum.hs", """
        main :: IO ()
        main = interact $ \\text -> show (sum (map read (words text) :: [Integer])) ++ "\\n"
    """),
    _one("csharp", "sum.cs", """
        using System; using System.Linq; using System.Numerics;
        class Sum { static void Main() {
            var numbers = Console.ReadLine().Split(' ').Select(BigInteger.Parse).ToArray();
            Console.WriteLine(numbers[0] + numbers[1]); } }
    """),
    _one("ruby", "sum.rb", """
        puts gets.split.sum(&:to_i)
    """),
    _one("bash", "sum.sh", """
        read a b
        echo "$(cat <<< $((a + b)))"
    """),
    _one("perl", "sum.pl", """
        use strict; use warnings; use List::Util qw(sum);
        print sum(split ' ', <STDIN>), "\\n";
    """),
    _one("ocaml", "sum.ml", """
        let () = Scanf.scanf " %d %d" (fun a b -> Printf.printf "%d\\n" (a + b))
    """),
    _one("lua", "sum.lua", """
        local a, b = io.read("n", "n")
        print(a + b)
    """),
    _one("php", "sum.php", """
        <?php
        fscanf(STDIN, "%d %d", $a, $b);
        echo $a + $b, "\\n";
    """),
    _one("fortran", "sum.f90", """
        program total
          integer(8) :: a, b
          read (*, *) a, b
          print *, a + b
        end program
    """),
    _one("ada", "sum.adb", """
        with Ada.Integer_Text_IO; use Ada.Integer_Text_IO;
        procedure Sum is
           A, B : Integer;
        begin
           Get (A); Get (B); Put (A + B);
        end Sum;
    """),
    _one("d", "sum.d", """
        import core.stdc.stdio;
        void main() { long a, b; scanf("%ld %ld", &a, &b); printf("%ld\\n", a + b); }
    """),
    _one("prolog", "sum.pl", """
        main :-
            read_line_to_string(user_input, Line), split_string(Line, " ", "", [X, Y]),
            number_string(A, X), number_string(B, Y), C is A + B, writeln(C).
    """),
    _one("lisp", "sum.lisp", """
        (format t "~d~%" (+ (read) (read)))
    """),
    _one("objectivec", "sum.m", """
        #include <stdio.h>
        #include <objc/Object.h>
        @interface Adder : Object
        + (long)add:(long)a to:(long)b;
        @end
        @implementation Adder
        + (long)add:(long)a to:(long)b { return a + b; }
        @end
        int main(void) { long a, b; if (scanf("%ld %ld", &a, &b) != 2) return 1;
            printf("%ld\\n", [Adder add:a to:b]); }
    """),
    _one("awk", "sum.awk", """
        function two(a, b) { return a + b }
        { print two($1, $2) }
    """),
    _one("r", "sum.R", """
        numbers <- scan(file("stdin"), quiet = TRUE)
        cat(sum(numbers), "\\n")
    """),
    _one("scala", "Sum.scala", """
        object Sum {
          def main(words: Array[String]) {
            println(scala.io.StdIn.readLine().split(" ").map(_.toLong).sum)
          }
        }
    """),
    _one("erlang", "sum.erl", """
        -module(sum).
        -export([main/0]).
        main() -> {ok, [A, B]} = io:fread("", "~d ~d"), io:format("~w~n", [A + B]).
    """),
    _one("elixir", "sum.ex", """
        defmodule Sum do
          def two(line), do: line |> String.split() |> Enum.map(&String.to_integer/1) |> Enum.sum()
        end
        IO.gets("") |> Sum.two() |> IO.puts()
    """),
    _one("nim", "sum.nim", """
        import strutils, sequtils
        echo stdin.readLine.splitWhitespace.map(parseInt).foldl(a + b)
    """),
    _one("crystal", "sum.cr", """
        puts gets.not_nil!.split.map(&.to_i64).sum
    """),
    _one("cobol", "sum.cob", """
        IDENTIFICATION DIVISION.
        PROGRAM-ID. SUM-OF.
        DATA DIVISION.
        WORKING-STORAGE SECTION.
        01 LINE-IN PIC X(80).
        01 A-TEXT PIC X(20).
        01 B-TEXT PIC X(20).
        01 RESULT PIC 9(9).
        01 SHOWN PIC Z(8)9.
        PROCEDURE DIVISION.
            ACCEPT LINE-IN.
            UNSTRING LINE-IN DELIMITED BY " " INTO A-TEXT B-TEXT.
            COMPUTE RESULT = FUNCTION NUMVAL(A-TEXT) + FUNCTION NUMVAL(B-TEXT).
            MOVE RESULT TO SHOWN.
            DISPLAY FUNCTION TRIM(SHOWN).
            STOP RUN.
    """),
    _one("octave", "sum.m", """
        % the sum
        numbers = fscanf(stdin, '%d');
        printf("%d\\n", sum(numbers));
    """),
    _one("scheme", "sum.scm", """
        (define a (read))
        (display (+ a (read)))
        (newline)
    """),
    _one("racket", "sum.rkt", """
        #lang racket
        (displayln (+ (read) (read)))
    """),
    _one("forth", "sum.fth", """
        create line 80 allot
        line 80 stdin read-line throw drop line swap
        0 0 2swap >number 1 /string 2swap drop -rot
        0 0 2swap >number 2drop drop + . cr
    """),
    _one("algol68", "sum.a68", """
        BEGIN INT a, b; read((a, b)); print((whole(a + b, 0), new line)) END
    """),
    _one("modula2", "sum.mod", """
        MODULE sum;
        FROM SWholeIO IMPORT ReadCard, WriteCard;
        FROM STextIO IMPORT WriteLn;
        VAR a, b: CARDINAL;
        BEGIN
           ReadCard(a); ReadCard(b); WriteCard(a + b, 1); WriteLn
        END sum.
    """),
    _one("cgmp", "sum.c", """
        #include <gmp.h>
        int main(void) { mpz_t a, b; mpz_inits(a, b, NULL); gmp_scanf("%Zd %Zd", a, b);
            mpz_add(a, a, b); gmp_printf("%Zd\\n", a); }
    """, is_named=True),
    _one("cppgmp", "sum.cpp", """
        #include <gmpxx.h>
        #include <iostream>
        int main() { mpz_class a, b; std::cin >> a >> b; std::cout << a + b << '\\n'; }
    """, is_named=True),
    _one("python3numpy", "sum.py", """
        import numpy
        numbers = numpy.array(input().split(), dtype=float)
        print(int(numpy.linalg.solve(numpy.eye(2), numbers).sum()))
    """, is_named=True),
    _one("objectivec", "fraction.m", """
        #import <Foundation/Foundation.h>
        int main(void) {
            NSAutoreleasePool *pool = [[NSAutoreleasePool alloc] init];
            NSNumber *number = [NSNumber numberWithDouble:42.0];
            @try { [NSException raise:@"none" format:@"of %@", number]; }
            @catch (NSException *caught) { printf("%s\\n", [[number stringValue] UTF8String]); }
            [pool release]; return 0; }
    """, needs="/usr/include/GNUstep/Foundation"),
    _one("csharp", "fraction.cs", """
        class Fraction { static void Main() { System.Console.WriteLine("{0:0.##}", 42.0); } }
    """),
    Sample("c", {"main.c": '#include "add/add.h"\n#include <stdio.h>\nint main(void)'
                 ' { long a, b; scanf("%ld%ld", &a, &b); printf("%ld\\n", add(a, b)); }\n',
                 "add/add.h": "long add(long, long);\n",
                 "add/add.c": '#include "add.h"\nlong add(long a, long b) { return a + b; }\n'}),
    Sample("java", {"Add.java": "package sums;\npublic class Add { static int two(int a, int b)"
                    " { return a + b; } public static void main(String[] w)"
                    ' { System.out.println("not me"); } }\n',
                    "Main.java": "package sums;\npublic class Main {"
                    " public static void main(String... w) {"
                    " var in = new java.util.Scanner(System.in);"
                    " System.out.println(Add.two(in.nextInt(), in.nextInt())); } }\n"}),
    Sample("java", {"A.java": "class A { public static void main(String[] w) {} }\n",
                    "B.java": "class B { public static void main(String[] w) {"
                    " System.out.println(42); } }\n"}, "B"),
    Sample("python3", {"main.py": "from add import two\nprint(two(*map(int, input().split())))\n",
                       "add.py": "def two(a, b):\n    return a + b\n"}),
    Sample("python3", {"a.py": "print(1)\n", "z.py": "print(42)\n"}, "z.py"),
    Sample("typescript", {"main.ts": "import { two } from './add'\nimport { words } from './add'\n"
                          "console.log(two(Number(words[0]), Number(words[1])))\n",
                          "add.ts": "declare function require(name: string): any\n"
                          "export const words = require('fs').readFileSync(0, 'utf8').split(' ')\n"
                          "export const two = (a: number, b: number): number => a + b\n"}),
    Sample("go", {"main.go": 'package main\nimport "fmt"\nfunc main() { var a, b int;'
                  " fmt.Scan(&a, &b); fmt.Println(two(a, b)) }\n",
                  "add.go": "package main\nfunc two(a, b int) int { return a + b }\n"}),
    Sample("ocaml", {"z.ml": "let two a b = a + b\n",
                     "main.ml": "let () = Scanf.scanf \" %d %d\" (fun a b ->"
                     " print_int (Z.two a b); print_newline ())\n"}),
    Sample("haskell", {"sum.lhs": "The sum.\n\n"
                       "> main = interact (show . sum . map (read :: String -> Int) . words)\n"}),
    Sample("haskell", {"Main.hs": "module Main where\nimport Add\nmain = interact (show . total)\n",
                       "Add.hs": "module Add where\ntotal :: String -> Integer\n"
                       "total = sum . map read . words\n"}),
    Sample("rust", {"main.rs": "mod add;\nfn main() { let mut text = String::new();"
                    " std::io::stdin().read_line(&mut text).unwrap();"
                    " println!(\"{}\", add::total(&text)) }\n",
                    "add.rs": "pub fn total(text: &str) -> i64 {"
                    " text.split_whitespace().map(|w| w.parse::<i64>().unwrap()).sum() }\n"}),
    Sample("pascal", {"main.pas": "uses add;\nvar a, b: longint;\nbegin readln(a, b);"
                      " writeln(two(a, b)) end.\n",
                      "add.pas": "unit add;\ninterface\nfunction two(a, b: longint): longint;\n"
                      "implementation\nfunction two(a, b: longint): longint;"
                      " begin two := a + b end;\nend.\n"}),
    Sample("pascal", {"add.pas": "{ A part. }\nUnit add;\ninterface\n"
                      "function two(a, b: longint): longint;\n"
                      "implementation\nfunction two(a, b: longint): longint;"
                      " begin two := a + b end;\nend.\n",
                      "sum.pas": "uses add;\nvar a, b: longint;\nbegin readln(a, b);"
                      " writeln(two(a, b)) end.\n"}),
    Sample("prolog", {"sum.pl": "[two].\nmain :-\n    read_line_to_string(user_input, Line),"
                      ' split_string(Line, " ", "", Words), two(Words, Sum), writeln(Sum).\n',
                      "two.pl": ":- module(two, [two/2]).\ntwo([X, Y], Sum) :-\n"
                      "    number_string(A, X), number_string(B, Y), Sum is A + B.\n"}),
    Sample("kotlin", {"Main.kt": "package sums\nfun main(args: Array<String>) {"
                      " println(readLine()!!.split(' ').map { it.toInt() }.total()) }\n",
                      "Add.kt": "package sums\nfun List<Int>.total() = sum()\n"}),
]  # fmt: skip
