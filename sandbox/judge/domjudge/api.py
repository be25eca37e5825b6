"""DOMjudge's judgehost API: one method a call, what it takes and what it gives."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from sandbox.judge.domjudge.client import HttpClient
from sandbox.judge.domjudge.files import SentFile, read_files
from sandbox.judge.domjudge.tasks import Executable, JudgingTask, TestCase, Work
from sandbox.judge.domjudge.work import read_work
from sandbox.spec.errors import ProtocolError, SpecError
from sandbox.spec.fields import read_array, read_table, shown
from sandbox.spec.quantities import MIB

__all__ = ["Api", "Settings", "encoded"]

_SMALL_BYTES = 16 * MIB  # of all answers but files
_MOST_BYTES = 1 << 40


class Settings(NamedTuple):
    """Of the server's configuration, what a judgehost needs."""

    storage_bytes: int | None  # of each output that is reported; None: all of it
    overshoot: str  # see overshoot.py
    results: frozenset[str]  # the verdicts that it knows


class Api:
    """The calls, as the judgehost `hostname`. Each raises ServerError or ProtocolError."""

    def __init__(self, http: HttpClient, hostname: str) -> None:
        self._http, self._hostname = http, hostname

    async def register(self) -> tuple[str, ...]:
        """Say that we are there, and give back what we had not finished: numbers of judgings."""
        answer = await self._call("POST", "judgehosts", {"hostname": self._hostname})
        try:
            rows = [read_table(row, "judgehosts") for row in read_array(answer or [], "judgehosts")]
        except SpecError as error:
            raise ProtocolError(str(error)) from error
        return tuple(str(row.get("jobid")) for row in rows)

    async def is_enabled(self) -> bool:
        """Whether the jury lets us have work."""
        answer = await self._call("GET", "judgehosts", query={"hostname": self._hostname})
        rows = answer if isinstance(answer, list) else []
        return any(
            isinstance(row, Mapping)
            and row.get("hostname") == self._hostname
            and row.get("enabled") is True
            for row in rows
        )

    async def settings(self) -> Settings:
        """The server's configuration of this moment."""
        answer = await self._call("GET", "config")
        try:
            table = read_table(answer, "config")
            storage, overshoot = table.get("output_storage_limit"), table.get("timelimit_overshoot")
            if not isinstance(storage, int) or not -1 <= storage <= _MOST_BYTES:
                raise SpecError("config.output_storage_limit", f"{shown(storage)} is no size")
            if not isinstance(overshoot, str):
                raise SpecError("config.timelimit_overshoot", f"{shown(overshoot)} is no text")
            results = frozenset(read_table(table.get("results_prio"), "config.results_prio"))
        except SpecError as error:
            raise ProtocolError(str(error)) from error
        return Settings(None if storage == -1 else storage, overshoot, results)

    async def fetch_work(self, batch: int | None) -> Work:
        """What is to be done. Never tried again: what was assigned by an answer that was lost comes
        back by `register` only.
        """
        form = {"hostname": self._hostname}
        if batch is not None:
            form["max_batchsize"] = str(batch)
        return read_work(await self._call("POST", "judgehosts/fetch-work", form, attempts=1))

    async def source_files(self, task: JudgingTask) -> tuple[SentFile, ...]:
        """The submission."""
        contest = f"{quote(task.contest, safe='')}/" if task.contest is not None else ""
        return await self._files(f"source/{contest}{quote(task.submission, safe='')}")

    async def executable_files(self, executable: Executable) -> tuple[SentFile, ...]:
        """A script of the jury's."""
        return await self._files(f"{executable.kind}/{quote(executable.id, safe='')}")

    async def test_files(self, test: TestCase) -> tuple[bytes, bytes]:
        """Input and answer."""
        files = await self._files(f"testcase/{quote(test.id, safe='')}")
        named = {file.name: file.content for file in files}
        if named.keys() != {"input", "output"}:
            raise ProtocolError(f"testcase {test.id}: {sorted(named)} instead of input and output")
        return named["input"], named["output"]

    async def compiled(
        self, task: int, *, is_success: bool, output: bytes, metadata: bytes
    ) -> None:
        """Report how compiling went."""
        form = {
            "compile_success": "1" if is_success else "0",
            "output_compile": encoded(output),
            "compile_metadata": encoded(metadata),
        }
        await self._call("PUT", f"judgehosts/update-judging/{self._hostname}/{task}", form)

    async def add_run(self, task: int, form: Mapping[str, str]) -> bool:
        """Report one run; whether the server wants the judging's other runs still."""
        path = f"judgehosts/add-judging-run/{self._hostname}/{task}"
        answer = await self._call("POST", path, {**form, "hostname": self._hostname})
        if answer not in (0, 1):  # true and false too
            raise ProtocolError(f"add-judging-run: {shown(answer)} is neither 0 nor 1")
        return bool(answer)

    async def add_debug(self, task: int, field: str, content: bytes) -> None:
        """Report what the jury asked for: `output_run`, or a `full_debug` package."""
        path = f"judgehosts/add-debug-info/{self._hostname}/{task}"
        await self._call("POST", path, {field: encoded(content)})

    async def internal_error(
        self, description: str, log: str, disabled: Mapping[str, str], task: int | None
    ) -> None:
        """Report a failure that is not the submission's, and what cannot be used until it is
        looked at: `kind`, and the key that goes with it.
        """
        form = {
            "description": description,
            "judgehostlog": encoded(log.encode()),
            "disabled": json.dumps(disabled),
            "hostname": self._hostname,
        }
        if task is not None:
            form["judgetaskid"] = str(task)
        await self._call("POST", "judgehosts/internal-error", form)

    async def _files(self, what: str) -> tuple[SentFile, ...]:
        return read_files(await self._http.request("GET", f"judgehosts/get_files/{what}"), what)

    async def _call(
        self, method: str, path: str, form: Mapping[str, str] | None = None, *,
        query: Mapping[str, str] | None = None, attempts: int | None = None,
    ) -> Any:  # fmt: skip
        return await self._http.request(
            method, path, form=form, query=query, most_bytes=_SMALL_BYTES, attempts=attempts
        )


def encoded(content: bytes) -> str:
    """`content` in base64, as the API wants bytes."""
    return base64.b64encode(content).decode()
