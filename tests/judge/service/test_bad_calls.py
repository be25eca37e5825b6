"""Calls that cannot be meant: the field that is wrong is named, and nothing is judged."""

from typing import Any

import pytest
from judge.service.contest import RIGHT, package, upload, zipped
from server.daemon import Client, serving

from sandbox.spec.errors import SpecError


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"problem": "x"}, "problem"),
        ({"problem": "0" * 64}, "problem"),
        ({"files": {}}, "files"),
        ({"files": {f"{n}.py": b"" for n in range(257)}}, "files"),
        ({"files": {"../a.py": b""}}, 'files."../a.py"'),
        ({"files": {"/a.py": b""}}, 'files."/a.py"'),
        ({"files": {"a\n.py": b""}}, 'files."a\\n.py"'),
        ({"files": {"a": b"", "a/b.py": b""}}, 'files."a/b.py"'),
        ({"files": {"a.py": 7}}, 'files."a.py"'),
        ({"files": {"a.py": {"blob": "0" * 64}}}, "files"),
        ({"files": {"a.py": {"source": "/etc/shadow"}}}, 'files."a.py".source'),
        ({"language": "no-such"}, "language"),
        ({"time_limit_seconds": 0.0}, "time_limit_seconds"),
        ({"time_limit_seconds": float("nan")}, "time_limit_seconds"),
        ({"priority": 101}, "priority"),
        ({"wait_seconds": 61.0}, "wait_seconds"),
        ({"all_test": True}, "all_test"),
    ],
)
def test_what_is_wrong_in_a_call_is_named(
    shared: tuple[Client, str], params: dict[str, Any], field: str
) -> None:
    client, problem = shared
    with pytest.raises(SpecError) as caught:
        client.call("judge.submit", **({"problem": problem, "files": {"a.py": RIGHT}} | params))
    assert caught.value.field == field
    assert client.call("judge.list")["judgings"] == ()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One for all calls that come to nothing."""
    with serving(tmp_path_factory.mktemp("shared")) as daemon, daemon.client() as client:
        yield client, upload(client, zipped(package()))
