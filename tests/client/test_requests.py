"""Jobs as callers write them, and what goes over the wire for them."""

from pathlib import Path
from typing import Any

import pytest

from sandbox.client import calls
from sandbox.client.requests import describe_job, job_map, pipe_map
from sandbox.spec.errors import SpecError
from sandbox.spec.job import job_from_mapping
from sandbox.wire.job import job_from_map, job_to_map


def test_a_command_and_its_options_are_parted() -> None:
    job, said = describe_job(["true"], {"policy": "python", "label": "a", "env": None})
    assert job == {"command": ["true"], "policy": "python"}
    assert said == {"label": "a"}


def test_a_whole_job_takes_no_keys_of_a_job() -> None:
    job = job_from_mapping({"command": ["true"]}, Path("/"))
    assert describe_job(job, {"label": "a"}) == (job, {"label": "a"})
    for whole in (job, {"command": ["true"]}):
        with pytest.raises(SpecError, match="policy: belongs into the job"):
            describe_job(whole, {"policy": "python"})


def test_a_job_is_sent_as_the_wire_has_it() -> None:
    job = job_from_mapping({"command": ["cat", "a"], "limits": {"memory": "64MiB"}}, Path("/"))
    assert job_map(job) == job_to_map(job)
    assert job_from_map(job_map(job)) == job


def test_words_may_be_bytes_paths_and_no_utf8() -> None:
    assert job_map([b"a\xff", Path("/bin/sh"), "b\udcff"])["command"] == [
        b"a\xff", "/bin/sh", b"b\xff",
    ]  # fmt: skip


def test_a_command_that_is_one_text_is_refused() -> None:
    for text in ("echo hello", b"echo hello"):
        with pytest.raises(SpecError, match=r"command: .*write a list of words"):
            job_map(text)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"ro": ["data"]}, {"ro": [{"source": "{cwd}/data"}]}),
        ({"ro": [Path("data")]}, {"ro": [{"source": "{cwd}/data"}]}),
        ({"copy": ["/a:b"]}, {"copy": [{"source": "/a", "destination": "b"}]}),
        (
            {"copy": [{"blob": "00", "destination": "b"}]},
            {"copy": [{"blob": "00", "destination": "b"}]},
        ),
        ({"collect": ["out"]}, {"collect": [{"path": "out"}]}),
        (
            {"collect": ["out=here"]},
            {"collect": [{"path": "out", "destination": "{cwd}/here"}]},
        ),
        ({"collect": [{"path": b"\xff"}]}, {"collect": [{"path": b"\xff"}]}),
        ({"stdin": "in"}, {"stdin": "{cwd}/in"}),
        ({"stdin": "-"}, {"stdin": "-"}),
        ({"stdin": {"blob": "00"}}, {"stdin": {"blob": "00"}}),
        ({"root": "host"}, {"root": "host"}),
        ({"root": "r"}, {"root": "{cwd}/r"}),
        ({"policy": "python"}, {"policy": "python"}),
        ({"policy": "p.toml"}, {"policy": "{cwd}/p.toml"}),
    ],
)
def test_paths_of_this_host_begin_at_our_directory(
    given: dict[str, Any], sent: dict[str, Any]
) -> None:
    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [filled(item) for item in value]
        return value.format(cwd=Path.cwd()) if isinstance(value, str) else value

    made = job_map({"command": ["true"], **given})
    del made["command"]
    assert made == filled(sent)


def test_an_input_that_lacks_a_side_is_named() -> None:
    with pytest.raises(SpecError, match=r"ro\[1\]: .*SOURCE:PLACE"):
        job_map({"command": ["true"], "ro": ["/a", "/b:"]})


def test_pipes_are_pairs_or_triples_or_maps() -> None:
    expected = {"from": 0, "stream": "stdout", "to": 1}
    assert pipe_map((0, 1)) == pipe_map([0, "stdout", 1]) == pipe_map(expected) == expected
    with pytest.raises(SpecError):
        pipe_map((1,))


def test_every_submit_has_a_key_of_its_own_and_so_may_be_repeated() -> None:
    first, second = calls.submit(["true"], {}), calls.submit(["true"], {})
    assert first.params["key"] != second.params["key"]
    assert first.is_repeatable
    assert calls.submit(["true"], {"key": "mine"}).params["key"] == "mine"
    assert calls.pipeline([["a"], ["b"]], [(0, 1)], {}).is_repeatable


@pytest.mark.parametrize("options", [{"attached": True}, {"keep": False}])
def test_a_job_that_is_forgotten_by_itself_is_submitted_once(options: dict[str, Any]) -> None:
    call = calls.submit(["true"], options)
    assert "key" not in call.params
    assert not call.is_repeatable


def test_an_attached_job_outlives_nothing() -> None:
    assert calls.submit(["true"], {"attached": True}).params["durability"] == "memory"
    assert "durability" not in calls.submit(["true"], {}).params


@pytest.mark.parametrize(
    "call",
    [calls.signal("a", 15), calls.delete("a"), calls.drain(1.0), calls.write("a", None, b"")],
)
def test_what_must_not_happen_twice_is_not_repeated(call: calls.Call) -> None:
    assert not call.is_repeatable
