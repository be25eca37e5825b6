"""Problem packages, read in a sandbox: nothing of what a tenant has written is parsed in here.

YAML of a package may take minutes and all memory; so the program that reads it is a job of its
tenant, of our own sources and PyYAML's, in one archive. What it says is kept beside the package,
and read again where it was said by other sources, or a power cut has left half of it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import marshal
import os
import zipfile
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER, source_hash
from pathlib import Path
from typing import Any, TypeVar

import trio
import yaml

import sandbox
from sandbox.judge.problem import Problem
from sandbox.judge.sandboxed import run_sandboxed
from sandbox.judge.service.problem_text import problem_from_lines
from sandbox.judge.service.runner import run_one
from sandbox.judge.unpacking import name_problem
from sandbox.server.orders import Orders
from sandbox.spec.errors import HostError, SpecError
from sandbox.spec.job import Input

__all__ = ["PackageReader"]

_T = TypeVar("_T")

_PROGRAM = b"/data/reader.zip"
_START = (
    f"import sys; sys.path.insert(0, {_PROGRAM.decode()!r});"
    "from sandbox.judge.service.read_inside import main; sys.exit(main(sys.argv[1]))"
)
# More than it needs: what a package's reader imports of the judge changes.
_SOURCES = (
    "__init__.py", "judge/*.py", "judge/package/*.py", "judge/service/__init__.py",
    "judge/service/problem_text.py", "judge/service/read_inside.py", "spec/*.py",
)  # fmt: skip
_MOST_BYTES = 8 << 20  # of lines: some hundreds a test


class PackageReader:
    """One for all tenants."""

    def __init__(self, orders: Orders, directory: Path) -> None:
        """`directory`: ours alone; the program is put there. Blocks."""
        self._orders = orders
        data = _program()
        self._digest = hashlib.sha256(data).hexdigest().encode()
        self._program = directory / "reader.zip"
        self._program.write_bytes(data)
        self._program.chmod(0o644)  # whatever our umask is: jobs read it as somebody else

    async def read(self, tenant: str, package: Path, kept: Path) -> Problem:
        """The problem in the directory `package`; `kept`: the file for what was read of it.

        One at a time of a package. Raises SpecError("problem", the file and the rule that it
        breaks), HostError.
        """
        problem = await _in_thread(self._kept, package, kept)
        if problem is None:
            lines = await self._lines(tenant, package)
            problem = await _in_thread(self._problem, lines, package)
            await _in_thread(self._keep, lines, kept)
        return problem

    async def _lines(self, tenant: str, package: Path) -> bytes:
        # By its own name, which is that of a problem that has no other.
        place = b"/data/package/" + os.fsencode(package.name)
        lines = bytearray()
        await run_sandboxed(
            functools.partial(run_one, self._orders, tenant), "reading it",
            (b"python3", b"-I", b"-S", b"-c", _START.encode(), place),
            (Input(package, place, copied=False), Input(self._program, _PROGRAM, copied=False)),
            _MOST_BYTES, lines.extend,
        )  # fmt: skip
        return bytes(lines)

    def _problem(self, lines: bytes, package: Path) -> Problem:
        try:
            return problem_from_lines(io.BytesIO(lines), package, name_problem)
        except (ValueError, RecursionError) as error:
            raise SpecError("problem", f"what was read of it is none: {error}") from error

    def _kept(self, package: Path, kept: Path) -> Problem | None:
        try:
            head, _, lines = kept.read_bytes().partition(b"\n")
        except OSError:
            return None
        return self._problem(lines, package) if head == self._head(lines) else None

    def _keep(self, lines: bytes, kept: Path) -> None:
        with contextlib.suppress(OSError):  # no room: it is read again
            draft = kept.with_suffix(".new")
            draft.write_bytes(self._head(lines) + b"\n" + lines)
            draft.replace(kept)

    def _head(self, lines: bytes) -> bytes:
        return self._digest + hashlib.sha256(lines).hexdigest().encode()


async def _in_thread(function: Callable[..., _T], *arguments: Any) -> _T:
    # Whoever is cancelled does not wait for it: it only reads, or replaces a file as a whole.
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)


def _program() -> bytes:
    """An archive of all that it takes, whichever way we were installed. Raises HostError.

    With the bytecode of it, which a Python of another version leaves aside.
    """
    data = io.BytesIO()
    ours, theirs = Path(sandbox.__file__).parent, Path(yaml.__file__).parent
    with zipfile.ZipFile(data, "w") as archive:
        for top, patterns in ((ours, _SOURCES), (theirs, ("*.py",))):
            found = sorted({path for pattern in patterns for path in top.glob(pattern)})
            if not found:
                raise HostError(f"{top} has no sources; fix: install them as files")
            for path in found:
                name, source = f"{top.name}/{path.relative_to(top)}", path.read_bytes()
                archive.writestr(zipfile.ZipInfo(name), source)  # of 1980, always
                archive.writestr(zipfile.ZipInfo(f"{name}c"), _bytecode(path, source))
    return data.getvalue()


def _bytecode(path: Path, source: bytes) -> bytes:
    """PEP 552: by the hash of its source, which is not looked at again."""
    code = SourceFileLoader(path.stem, str(path)).get_code(path.stem)
    head = MAGIC_NUMBER + (1).to_bytes(4, "little") + source_hash(source)
    return head + marshal.dumps(code)
