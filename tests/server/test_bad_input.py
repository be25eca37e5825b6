"""What is wrong in a call is told to whoever sent it, by its field, and nothing is done."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest
import trio
from server.peers import (
    SHA256,
    job_of,
    required,
)
from server.serving import serving

from sandbox.server.method import METHODS, Param
from sandbox.wire.values import REQUIRED

# kind -> what is none of it
WRONG: dict[str, tuple[Any, ...]] = {
    "text": (1, 1.5, True, [], {}, b"\xff"),
    "data": (1, 1.5, True, [], {}),
    "integer": ("1", b"1", 1.5, True, [], {}, -(1 << 63), (1 << 64) - 1),
    "number": ("1", b"1", True, [], {}, math.nan, math.inf, -math.inf, -1e308),
    "flag": (0, 1, "true", b"", [], {}),
    "choice": (1, "", "nonesuch", b"stdou", True, [], {}),
    "array": (1, "x", b"x", True, {}),
    "table": (1, "x", b"x", True, []),
}


def beyond(param: Param) -> Iterator[Any]:
    """Values of its kind that are just out of its bounds."""
    bounds = param.bounds
    for key, value in (("least", bounds.get("least", 0)), ("most", bounds.get("most"))):
        if param.kind in ("integer", "number") and value is not None and value < 1 << 63:
            yield value - 1 if key == "least" else value + 1
    if "most_bytes" in bounds:
        yield "x" * (bounds["most_bytes"] + 1)
    if "most_items" in bounds:
        yield [0] * (bounds["most_items"] + 1)


def wrong_params() -> Iterator[Any]:
    for method in METHODS.values():
        right = required(method)
        for name, param in method.params.items():
            wrong = [*WRONG[param.kind], *beyond(param)]
            if param.default is REQUIRED:
                wrong.append(None)
            fields = [{**right, name: value} for value in wrong]
            if param.default is REQUIRED:
                fields.append({n: v for n, v in right.items() if n != name})
            yield pytest.param(method.name, name, fields, id=f"{method.name}-{name}")
        unknown = [{**right, "nonesuch": 1}]
        yield pytest.param(method.name, "nonesuch", unknown, id=f"{method.name}-unknown")


@pytest.mark.parametrize(("method", "name", "wrong"), list(wrong_params()))
def test_a_wrong_parameter_is_named_and_nothing_is_done(
    method: str, name: str, wrong: list[dict[str, Any]], tmp_path: Path
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            for fields in wrong:
                error = await peer.refused(method, fields)
                assert (error["code"], error["field"]) == ("invalid_params", name), fields
                assert error["message"].startswith(f"{name}: ")
                assert error["message"].isprintable() and len(error["message"]) < 500
            assert await peer.call("job.list") == {"jobs": ()}
            assert await peer.call("blob.list") == {"blobs": ()}
            assert server.log_lines() == [], "a mistake of a client is no line for the operator"

    trio.run(main)


@pytest.mark.parametrize("params", [(1,), ("x",), ([],), ({}, {}), (None,)])
@pytest.mark.parametrize("method", METHODS)
def test_params_are_one_map(method: str, params: tuple[Any, ...], tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            error = await server.peer().refused(method, *params)
            assert (error["code"], error["field"]) == ("invalid_params", "params")

    trio.run(main)


@pytest.mark.parametrize(
    ("job", "field"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": "true"}, "command"),
        ({"command": [1]}, "command[0]"),
        ({"command": ["a\0b"]}, "command[0]"),
        ({"command": ["true"], "polisy": "x"}, "polisy"),
        ({"command": ["true"], "policy": "nonesuch"}, "policy"),
        ({"command": ["true"], "policy": "../../etc/passwd"}, "policy"),
        ({"command": ["true"], "limits": {"memory": "256 MB"}}, "limits.memory"),
        ({"command": ["true"], "limits": 1}, "limits"),
        ({"command": ["true"], "env": {"A=B": "x"}}, "env.A=B"),
        ({"command": ["true"], "ro": [{"blob": SHA256, "destination": "/x"}]}, "ro[0].blob"),
        ({"command": ["true"], "ro": [{"blob": "zz", "destination": "/x"}]}, "ro[0].blob"),
        ({"command": ["true"], "stdin": {"blob": SHA256}}, "stdin.blob"),
        ({"command": ["true"], "stdin": {"blob": SHA256, "x": 1}}, "stdin.x"),
    ],
)
def test_what_is_wrong_in_a_job_is_named(job: dict[str, Any], field: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            error = await peer.refused("job.submit", job=job, key="k")
            assert error["code"] == "spec"
            assert error["field"].replace('"', "") == field
            assert await peer.call("job.list") == {"jobs": ()}
            # The key was not taken by what was refused.
            await peer.call("job.submit", job=job_of("true"), key="k", durability="memory")

    trio.run(main)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"attached": True}, "attached"),
        ({"stdin_open": True, "most_runs": 2}, "most_runs"),
        ({"stdin_open": True, "stdin": b"x"}, "stdin_open"),
        ({"job": job_of("true", stdin="/dev/null"), "stdin": b"x"}, "stdin"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(
    fields: dict[str, Any], field: str, tmp_path: Path
) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            error = await server.peer().refused("job.submit", {"job": job_of("true"), **fields})
            assert (error["code"], error["field"]) == ("invalid_params", field)

    trio.run(main)


@pytest.mark.parametrize(
    ("pipes", "field"),
    [
        ([1], "pipes[0]"),
        ([{"from": 0}], "pipes[0].to"),
        ([{"from": 0, "to": 2}], "pipes[0].to"),
        ([{"from": -1, "to": 1}], "pipes[0].from"),
        ([{"from": 0, "to": 1, "stream": "stdin"}], "pipes[0].stream"),
        ([{"from": 0, "to": 1, "stram": "stdout"}], "pipes[0].stram"),
    ],
)
def test_a_wrong_pipe_is_named(pipes: list[Any], field: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            jobs = [job_of("true"), job_of("true")]
            error = await server.peer().refused("pipeline.submit", jobs=jobs, pipes=pipes)
            assert (error["code"], error["field"]) == ("invalid_params", field)

    trio.run(main)


def test_an_unknown_method_is_told_the_nearest_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            error = await peer.refused("job.submitt")
            assert error["code"] == "unknown_method"
            assert error["message"] == 'no method "job.submitt"; did you mean job.submit?'
            for name in ("", "x" * 100_000, "job.\x1b[31mwait", "__class__"):
                error = await peer.refused(name)
                assert error["code"] == "unknown_method"
                assert error["message"].isprintable() and len(error["message"]) < 200

    trio.run(main)


def test_offsets_beyond_everything_are_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            job = await peer.submit("write", "100000")  # so it is in a file
            await peer.call("job.wait", job=job, wait_seconds=60.0)
            for offset in (100_000, 1 << 32, 1 << 62):
                read = await peer.call("job.read", job=job, stream="stdout", offset=offset)
                assert read == {"offset": offset, "data": b"", "is_end": True}
                await peer.call("stream.open", job=job, stream="stdout", offset=offset,
                                credit_bytes=1)  # fmt: skip
                assert (await peer.notified("stream.end"))["offset"] == offset
            # Further than the kernel can count: pread(2) would say EINVAL.
            error = await peer.refused("job.read", job=job, stream="stdout", offset=(1 << 63) - 1)
            assert (error["code"], error["field"]) == ("invalid_params", "offset")

    trio.run(main)


def test_text_that_is_no_utf8_is_taken_as_old_clients_send_it(tmp_path: Path) -> None:
    """Raw of the old msgpack may be bytes: a command is such, and a job of it is run and kept."""

    async def main() -> None:
        async with serving(tmp_path) as server:
            peer = server.peer()
            old = msgpack.packb(
                [0, 9, b"job.submit", [{b"job": {b"command": [b"true", b"\xff\xfe"]}}]],
                use_bin_type=False,
            )
            await peer.send(old)
            answer = await peer.answer(9)
            assert answer.error is None, answer.error
            await peer.call("job.wait", job=answer.result["job"], wait_seconds=60.0)

    trio.run(main)
