"""Calls that cannot be meant, to a connection of a service that is not needed for them."""

from types import SimpleNamespace

import msgpack
import pytest
import trio
import trio.testing

from sandbox.server import methods
from sandbox.server.connection import Connection
from sandbox.server.method import METHODS, Method
from sandbox.server.shapes import EMPTY
from sandbox.server.tenant_config import TenantConfig
from sandbox.server.tenants import Tenant

assert methods  # importing it declares them

JOB = {"command": ["true"]}


def call(method, params, *, errors="map"):
    """What is answered: the error, and the result."""

    def count(*_labels, **_count):
        pass

    bugs = []
    service = SimpleNamespace(
        methods=METHODS,
        metrics=SimpleNamespace(bytes=SimpleNamespace(add=count), calls=SimpleNamespace(add=count)),
        log=SimpleNamespace(bug=lambda error, **_where: bugs.append(error)),
    )

    async def talk():
        ours, theirs = trio.testing.memory_stream_pair()
        connection = Connection(theirs, service, Tenant(TenantConfig("ci")), "here")
        answers = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.serve)
            for name, values in (("server.hello", {"errors": errors}), (method, params)):
                await ours.send_all(msgpack.packb([0, 1, name, [values]]))
                answers.append(msgpack.unpackb(await ours.receive_some()))
            await ours.aclose()
        return answers[-1][2:]

    return (*trio.run(talk), bugs)


@pytest.mark.parametrize(
    ("method", "params", "field"),
    [
        ("job.read", {"job": "1", "stream": "stdout", "offset": (1 << 63) - 1}, "offset"),
        ("job.read_artifact", {"job": "1", "path": "/a", "offset": (1 << 63) - 1}, "offset"),
        ("pipeline.submit", {"jobs": [JOB], "pipes": []}, "jobs"),
        ("pipeline.submit", {"jobs": [JOB, 7], "pipes": []}, "jobs[1]"),
        ("pipeline.submit", {"jobs": [JOB, JOB], "pipes": [7]}, "pipes[0]"),
        ("pipeline.submit", {"jobs": [JOB, JOB], "pipes": [{"from": 2, "to": 0}]}, "pipes[0].from"),
    ],
)
def test_the_field_that_is_wrong_is_named(method, params, field):
    error, result, bugs = call(method, params)
    assert (error["code"], error["field"], result, bugs) == ("invalid_params", field, None, [])


def test_errors_are_text_for_who_asked_for_that():
    error, _, _ = call("job.cancel", {}, errors="text")
    assert error == "invalid_params: job: is missing"


def test_of_a_bug_the_log_is_told_and_the_client_that_there_was_one(monkeypatch):
    def run(_service, _peer):
        raise ZeroDivisionError("secret")

    monkeypatch.setitem(
        METHODS, "server.broken", Method("server.broken", run, {}, EMPTY, (), False)
    )
    error, result, bugs = call("server.broken", {})
    assert error["code"] == "internal"
    assert "log tells more" in error["message"]
    assert "secret" not in str(error)
    assert (result, [type(bug) for bug in bugs]) == (None, [ZeroDivisionError])
