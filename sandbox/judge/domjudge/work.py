"""What fetch-work answers: checked field by field, for a server may be wrong, or not ours."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.judge.domjudge.tasks import (
    Comparing,
    Compiling,
    DebugTask,
    Executable,
    JudgingTask,
    PrefetchTask,
    Running,
    TestCase,
    Work,
)
from sandbox.spec.errors import ProtocolError, SpecError
from sandbox.spec.fields import dotted, read_array, read_choice, read_flag, read_table, shown
from sandbox.spec.quantities import KIB, TIB, parse_count, parse_seconds

__all__ = ["read_work"]

_MOST_TASKS = 1000
_MOST_ID = (1 << 63) - 1
_DAY_SECONDS = 86400.0
_MOST_WORDS = 1000
_MOST_TEXT = 4096
# They become parts of paths and of URLs: no slash, and no name of dots only.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_EXECUTABLE_HASH = re.compile(r"[0-9a-f]{32}")
_UNSPEAKABLE = re.compile("[\0\ud800-\udfff]")
_TEST_HASH = re.compile(r"[0-9a-f]{32}_[0-9a-f]{32}")  # md5 of input, and of output


def read_work(answer: Any) -> Work:
    """The packet that `answer` is. Raises ProtocolError that names the field."""
    try:
        rows = [read_table(row, f"[{n}]") for n, row in enumerate(read_array(answer, "work"))]
        if len(rows) > _MOST_TASKS:
            raise SpecError("work", f"{len(rows)} tasks; the most is {_MOST_TASKS}")
        kinds = {
            read_choice(row.get("type"), f"[{n}].type", [*_READERS, "try_again"])
            for n, row in enumerate(rows)
        }
        if len(kinds) > 1:
            raise SpecError("work", f"tasks of several kinds: {', '.join(sorted(kinds))}")
        if not rows:
            return Work()
        kind = kinds.pop()
        if kind == "try_again":
            return Work(try_again=True)
        name, reader = _READERS[kind]
        tasks = tuple(reader(row, f"[{n}]") for n, row in enumerate(rows))
        if len({getattr(task, "job", None) for task in tasks}) > 1:
            raise SpecError("work", "tasks of several judgings")
    except SpecError as error:
        raise ProtocolError(f"fetch-work: {error}") from error
    fields: dict[str, Any] = {name: tasks}
    return Work(**fields)


def _judging(row: Mapping[str, Any], field: str) -> JudgingTask:
    compiling = _config(row, "compile_config", field)
    running = _config(row, "run_config", field)
    comparing = _config(row, "compare_config", field)
    return JudgingTask(
        _id(row, "judgetaskid", field),
        _job(row, field),
        _name(row.get("submitid"), f"{field}.submitid"),
        None if row.get("contestid") is None else _name(row["contestid"], f"{field}.contestid"),
        _test(row, field),
        _compiling(compiling, f"{field}.compile_config"),
        _running(running, f"{field}.run_config", _script(row, "run", running, field)),
        _comparing(comparing, f"{field}.compare_config", _script(row, "compare", comparing, field)),
    )


def _prefetch(row: Mapping[str, Any], field: str) -> PrefetchTask:
    executables = [
        _script(row, kind, _config(row, f"{kind}_config", field), field)
        for kind in ("run", "compare")
        if row.get(f"{kind}_script_id") and row.get(f"{kind}_config")
    ]
    return PrefetchTask(tuple(executables), _test(row, field) if row.get("testcase_id") else None)


def _debug(row: Mapping[str, Any], field: str) -> DebugTask:
    # A script is named where the whole package is wanted.
    is_whole = row.get("run_script_id") is not None
    test = None if is_whole else _name(row.get("testcase_id"), f"{field}.testcase_id")
    return DebugTask(_id(row, "judgetaskid", field), _job(row, field), test)


_READERS: dict[str, tuple[str, Callable[[Mapping[str, Any], str], Any]]] = {
    "judging_run": ("judging", _judging),
    "prefetch": ("prefetch", _prefetch),
    "debug_info": ("debug", _debug),
}


def _compiling(table: Mapping[str, Any], field: str) -> Compiling:
    extensions = read_array(table.get("language_extensions", []), f"{field}.language_extensions")
    return Compiling(
        *_script_limits(table, field),
        tuple(_text(each, f"{field}.language_extensions") for each in extensions),
        read_flag(table.get("filter_compiler_files", False), f"{field}.filter_compiler_files"),
    )


def _running(table: Mapping[str, Any], field: str, script: Executable) -> Running:
    entry_point = table.get("entry_point")
    return Running(
        _seconds(table, "time_limit", field, least=0.001),
        # Written by 9.0 and later; before, both are as if they were not there.
        _seconds(table, "overshoot", field) if "overshoot" in table else 0.0,
        _kibibytes(table, "memory_limit", field),
        _kibibytes(table, "output_limit", field),
        None if entry_point in (None, "") else _text(entry_point, f"{field}.entry_point"),
        parse_count(table.get("pass_limit", 1), f"{field}.pass_limit", least=1, most=1000),
        script,
    )


def _comparing(table: Mapping[str, Any], field: str, script: Executable) -> Comparing:
    flags = _text(table.get("compare_args") or "", f"{field}.compare_args").split()
    if len(flags) > _MOST_WORDS:
        raise SpecError(f"{field}.compare_args", f"over {_MOST_WORDS} words")
    return Comparing(
        *_script_limits(table, field),
        tuple(flags),
        read_flag(table.get("combined_run_compare"), f"{field}.combined_run_compare"),
        read_flag(table.get("is_scoring_problem", False), f"{field}.is_scoring_problem"),
        script,
    )


def _script_limits(table: Mapping[str, Any], field: str) -> tuple[float, int, int]:
    return (
        _seconds(table, "script_timelimit", field, least=1),
        _kibibytes(table, "script_memory_limit", field),
        _kibibytes(table, "script_filesize_limit", field),
    )


def _config(row: Mapping[str, Any], key: str, field: str) -> Mapping[str, Any]:
    """JSON within JSON."""
    text = row.get(key)
    if not isinstance(text, str):
        raise SpecError(dotted(field, key), f"{shown(text)} is no text")
    try:
        return read_table(json.loads(text), dotted(field, key))
    except (ValueError, RecursionError) as error:
        raise SpecError(dotted(field, key), f"no JSON: {error}") from error


def _script(row: Mapping[str, Any], kind: str, config: Mapping[str, Any], field: str) -> Executable:
    checksum = config.get("hash")
    if not isinstance(checksum, str) or not _EXECUTABLE_HASH.fullmatch(checksum):
        raise SpecError(f"{field}.{kind}_config.hash", f"{shown(checksum)} is no md5")
    return Executable(
        kind, _name(row.get(f"{kind}_script_id"), f"{field}.{kind}_script_id"), checksum
    )


def _test(row: Mapping[str, Any], field: str) -> TestCase:
    checksum = row.get("testcase_hash")
    if not isinstance(checksum, str) or not _TEST_HASH.fullmatch(checksum):
        raise SpecError(f"{field}.testcase_hash", f"{shown(checksum)} is no two md5")
    return TestCase(_name(row.get("testcase_id"), f"{field}.testcase_id"), checksum)


def _job(row: Mapping[str, Any], field: str) -> str:
    # Ids begin anew with a new database; the uuid does not.
    uuid = "none" if row.get("uuid") is None else _name(row["uuid"], f"{field}.uuid")
    return f"{_name(row.get('jobid'), f'{field}.jobid')}-{uuid}"


def _name(value: Any, field: str) -> str:
    # Of one version a number, of the next one text.
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise SpecError(field, f"{shown(value)} is no identifier")
    return text


def _id(row: Mapping[str, Any], key: str, field: str) -> int:
    return parse_count(row.get(key), f"{field}.{key}", least=1, most=_MOST_ID)


def _text(value: Any, field: str) -> str:
    # No command line holds a NUL, nor half a surrogate pair, which JSON can write.
    if not isinstance(value, str) or len(value) > _MOST_TEXT or _UNSPEAKABLE.search(value):
        raise SpecError(field, f"{shown(value)} is no text of at most {_MOST_TEXT} characters")
    return value


def _seconds(table: Mapping[str, Any], key: str, field: str, least: float = 0.0) -> float:
    return parse_seconds(table.get(key), f"{field}.{key}", least=least, most=_DAY_SECONDS)


def _kibibytes(table: Mapping[str, Any], key: str, field: str) -> int:
    most = 16 * TIB // KIB
    return parse_count(table.get(key), f"{field}.{key}", least=1, most=most) * KIB
