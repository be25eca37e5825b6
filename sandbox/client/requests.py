"""Jobs as callers write them, made into what goes over the wire.

What a job may be is the server's to judge; here only what it cannot know is filled in: which
options are the submission's, and where a relative path of this host begins.
"""

from __future__ import annotations

import os

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown
from sandbox.wire.messages import text_for_wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["SUBMIT_OPTIONS", "describe_job", "job_map", "pipe_map"]

# What is said of a job beside what it is; any other option is a key of the job.
SUBMIT_OPTIONS = (
    "key", "durability", "stdin_open", "most_runs", "priority", "queue_seconds", "own_core",
    "label", "attached", "keep", "inline_bytes",
)  # fmt: skip


def describe_job(job: Any, options: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A command and its options, parted: the job, and what is said of it.

    `job`: a command, as an array of words, with the job's keys among `options`; or a whole Job, or
    a map. Raises SpecError: options of a job that is whole.
    """
    said = {key: value for key, value in options.items() if key in SUBMIT_OPTIONS}
    keys = {
        key: value
        for key, value in options.items()
        if key not in SUBMIT_OPTIONS and value is not None
    }
    if _is_command(job):
        return {"command": job, **keys}, said
    if keys:
        raise SpecError(next(iter(keys)), "belongs into the job, which is whole already")
    return job, said


def job_map(job: Any) -> dict[str, Any]:
    """A command, a Job or a map of its keys, as the map that a server reads.

    Relative paths of this host, which only a server of our own may read, begin at our directory.
    Raises SpecError naming the field.
    """
    if hasattr(job, "required_grades"):  # a Job, whose module costs a command ten milliseconds
        from sandbox.wire.job import job_to_map

        return job_to_map(job)
    table = {"command": job} if _is_command(job) else dict(job)
    if isinstance(table.get("command"), str | bytes):
        raise SpecError("command", f"{shown(table['command'])} is one text; write a list of words")
    if "command" in table:
        table["command"] = [_text(word) for word in table["command"]]
    for key in ("root", "stdin"):
        if key in table:
            table[key] = _path_or_word(table[key])
    if str(table.get("policy", "")).endswith(".toml"):
        table["policy"] = _absolute(table["policy"])
    for key in ("ro", "copy"):
        if key in table:
            table[key] = [_input(entry, f"{key}[{n}]") for n, entry in enumerate(table[key])]
    if "collect" in table:
        table["collect"] = [_artifact(entry) for entry in table["collect"]]
    return table


def pipe_map(pipe: Any) -> dict[str, Any]:
    """A pipe, from the stream of one job to the stdin of another: {from, stream, to}, or a tuple
    (FROM, TO) of stdout, or (FROM, STREAM, TO). Jobs are counted from 0.
    """
    if isinstance(pipe, tuple | list):
        if len(pipe) not in (2, 3):
            raise SpecError("pipes", "write (FROM, TO), or (FROM, STREAM, TO)")
        return {"from": pipe[0], "stream": "stdout" if len(pipe) == 2 else pipe[1], "to": pipe[-1]}
    return dict(pipe)


def _is_command(job: Any) -> bool:
    return isinstance(job, str | bytes | list) or type(job) is tuple


def _text(value: Any) -> Any:
    value = os.fspath(value) if hasattr(value, "__fspath__") else value
    return text_for_wire(value) if isinstance(value, str) else value


def _absolute(path: Any) -> str | bytes:
    return text_for_wire(os.path.abspath(os.fsdecode(path)))


def _path_or_word(value: Any) -> Any:
    if hasattr(value, "__fspath__"):
        return _absolute(value)
    # "host" is a root, and "-" a stdin, of no path.
    return _absolute(value) if isinstance(value, str) and value not in ("host", "-") else value


def _input(entry: Any, field: str) -> Any:
    if hasattr(entry, "__fspath__"):
        return {"source": _absolute(entry)}
    if isinstance(entry, str):
        source, colon, destination = entry.rpartition(":")
        if not colon:
            return {"source": _absolute(entry)}
        if not source or not destination:
            raise SpecError(field, f"{shown(entry)} lacks a side of its colon; write SOURCE:PLACE")
        return {"source": _absolute(source), "destination": text_for_wire(destination)}
    table = dict(entry)
    if "source" in table:
        table["source"] = _absolute(table["source"])
    if "destination" in table:
        table["destination"] = _text(table["destination"])
    return table


def _artifact(entry: Any) -> Any:
    if isinstance(entry, str):
        path, equals, destination = entry.partition("=")
        table: dict[str, Any] = {"path": path, **({"destination": destination} if equals else {})}
    else:
        table = dict(entry)
    table["path"] = _text(table.get("path"))
    if table.get("destination") is not None:
        table["destination"] = _absolute(table["destination"])
    return table
