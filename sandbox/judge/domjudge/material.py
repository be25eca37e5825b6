"""What judging needs of the server's files: downloaded once, checked, kept by hash."""

from __future__ import annotations

from pathlib import Path

import trio

from sandbox.judge.domjudge.api import Api
from sandbox.judge.domjudge.blame import Blamed
from sandbox.judge.domjudge.client import ServerError
from sandbox.judge.domjudge.files import SentFile, executable_hash, md5, write_files
from sandbox.judge.domjudge.shelf import Shelf
from sandbox.judge.domjudge.tasks import Executable, TestCase
from sandbox.judge.problem import Program
from sandbox.spec.errors import ProtocolError

__all__ = ["DEFAULTS", "Material", "is_default"]

# The default scripts of DOMjudge, by the md5 of their files: compare of 7.3 to 8.2 and of 8.3 on,
# run of 7.3 to 9.0 and what comes after it.
_NO_BUILD = "b6bc26994cd1a35cb73364065d2db51f"
DEFAULTS = {
    "compare": (
        {
            "build": "fcb637d8b6e546c9ba1bd27de90540dc",
            "compare.cc": "e1fa71ff54ac2b37ab0ad53cab739a56",
        },
        {
            "build": "b51f2971bd1707dbac92dfba1c860393",
            "compare.cc": "7e30c0e42412c4dd627f90e99a1b18ca",
        },
    ),
    "run": (
        {"build": _NO_BUILD, "run": "138f9c3c143dcd6e8ee0925706b0baa5"},
        {"build": _NO_BUILD, "run": "df679455583a7fc7e3516bdbe77e1d34"},
    ),
}


def is_default(kind: str, sums: dict[str, str]) -> bool:
    """Whether files of these names and md5 are DOMjudge's own, which our engine replaces."""
    return sums in DEFAULTS.get(kind, ())


class Material:
    """Test data and scripts on this machine's disk."""

    def __init__(self, api: Api, shelf: Shelf) -> None:
        self._api, self._shelf = api, shelf

    async def test(self, test: TestCase) -> tuple[Path, Path]:
        """Input and answer. Raises Blamed: the server has no such test, or another than it says."""
        name = f"test-{test.hash}"
        if (path := self._shelf.find(name)) is None:
            try:
                data, answer = await self._api.test_files(test)
            except (ServerError, ProtocolError) as error:
                _require_final(error)
                raise Blamed.test(test, str(error)) from error
            path = await trio.to_thread.run_sync(self._put_test, test, data, answer)
        return path / "input", path / "answer"

    async def program(self, script: Executable) -> Program | None:
        """The validator that a script is; None: it is DOMjudge's default.

        Raises Blamed: it is not what its hash says, or nothing that could be built.
        """
        name = f"{script.kind}-{script.hash}"
        if (path := self._shelf.find(name)) is None:
            try:
                files = await self._api.executable_files(script)
            except (ServerError, ProtocolError) as error:
                _require_final(error)
                raise Blamed.script(script, str(error)) from error
            if executable_hash(files) != script.hash:
                raise Blamed.script(script, f"its files have the hash {executable_hash(files)}, "
                                    f"not {script.hash}")  # fmt: skip
            path = await trio.to_thread.run_sync(self._put_files, name, files)
        return await trio.to_thread.run_sync(_program, script.kind, name, path)

    def _put_test(self, test: TestCase, data: bytes, answer: bytes) -> Path:
        if (found := f"{md5(data)}_{md5(answer)}") != test.hash:
            raise Blamed.test(test, f"its files have the hash {found}, not {test.hash}")

        def fill(directory: Path) -> None:
            (directory / "input").write_bytes(data)
            (directory / "answer").write_bytes(answer)

        return self._shelf.put(f"test-{test.hash}", fill)

    def _put_files(self, name: str, files: tuple[SentFile, ...]) -> Path:
        def fill(directory: Path) -> None:
            write_files(files, directory)

        return self._shelf.put(name, fill)


def _program(kind: str, name: str, directory: Path) -> Program | None:
    paths = sorted(directory.iterdir())
    if is_default(kind, {path.name: md5(path.read_bytes()) for path in paths}):
        return None
    names = {path.name for path in paths}
    return Program(
        f"output_validators/{name}",
        tuple((path.name, path) for path in paths),
        is_static="run" in names and "build" not in names,
        build="build" if "build" in names else None,
        run="run" if names & {"build", "run"} else None,
    )


def _require_final(error: ServerError | ProtocolError) -> None:
    """Raise `error` itself where the server is away, or does not know us: no file is to blame."""
    if isinstance(error, ServerError) and error.status not in (400, 404):
        raise error
