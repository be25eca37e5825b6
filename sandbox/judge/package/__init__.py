"""Problem packages, as Kattis, the ICPC and DOMjudge have them: from files to a Problem."""

from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.files import repository_of
from sandbox.judge.package.globs import matches
from sandbox.judge.package.read import read_problem

__all__ = ["PackageError", "matches", "read_problem", "repository_of"]
