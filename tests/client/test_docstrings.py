"""The examples in the docstrings do what they show."""

import doctest
from types import ModuleType

import pytest
import trio
from client.conftest import Server

import sandbox
from sandbox.client import aio, aio_job_handle, job_handle, sync

MODULES = (sync, job_handle, aio, aio_job_handle)
LEAST_EXAMPLES = {sync: 5, job_handle: 1, aio: 2, aio_job_handle: 1}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_of_a_module_are_true(
    module: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANDBOX_HOST", server.address)
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_NDIFF)
    count = 0
    with sandbox.Client() as client:
        names = {"client": client, "AsyncClient": sandbox.AsyncClient, "trio": trio}
        for test in doctest.DocTestFinder().find(module, extraglobs=names):
            said: list[str] = []
            failed, _ = runner.run(test, out=said.append)
            assert failed == 0, "".join(said)
            count += bool(test.examples)
    assert count >= LEAST_EXAMPLES[module]
