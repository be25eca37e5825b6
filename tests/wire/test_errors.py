"""Exceptions over the wire: a caller gets the type, the message and what it needs to act on."""

import errno
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec import errors
from sandbox.spec.errors import ExecError, ProtocolError, RefusedError, SandboxError, SpecError
from sandbox.wire.errors import (
    CODES,
    InternalError,
    InvalidParamsError,
    LostError,
    NotFoundError,
    UnknownMethodError,
    error_from_map,
    error_to_map,
)

EXAMPLES = [
    ("spec", SpecError("limits.memory", '"256MB" is no size')),
    ("refused", RefusedError("64 of 64 places are taken")),
    ("host", errors.HostError('cgroup v2 "memory" is not delegated; fix: sandbox setup')),
    ("setup", errors.SetupError("step 7 (pivot_root) failed: EINVAL")),
    ("zygote", errors.ZygoteError("the zygote died (signal 9)")),
    ("exec", ExecError(errno.ENOENT, b"/bin/\xff")),
    ("protocol", ProtocolError("message at byte 9: over 4096 bytes")),
    ("unknown_method", UnknownMethodError("job.raed; did you mean job.read?")),
    ("invalid_params", InvalidParamsError("offset", "is missing")),
    ("not_found", NotFoundError("no job 17")),
    ("lost", LostError("the supervisor was killed while it ran")),
    ("internal", InternalError("see the log")),
]


def over_the_wire(error: BaseException) -> SandboxError:
    return error_from_map(msgpack.unpackb(msgpack.packb(error_to_map(error))))


def test_every_code_has_an_example_and_every_error_a_code() -> None:
    assert [code for code, _ in EXAMPLES] == list(CODES)
    ours = {getattr(errors, name) for name in errors.__all__} - {SandboxError}
    assert ours < set(CODES.values())


@pytest.mark.parametrize(("code", "error"), EXAMPLES, ids=list(CODES))
def test_an_error_arrives_as_it_was_raised(code: str, error: SandboxError) -> None:
    document = error_to_map(error)
    assert document["code"] == code
    assert document["message"] == str(error).replace("\udcff", "\\udcff")
    assert document["field"] == getattr(error, "field", None)
    arrived = over_the_wire(error)
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)
    assert vars(arrived) == vars(error)


def test_a_refusal_says_when_to_come_back() -> None:
    error = RefusedError("busy", retry_after_seconds=1.5)
    assert error_to_map(error)["retry_after_seconds"] == 1.5
    assert vars(over_the_wire(error)) == {"retry_after_seconds": 1.5}


def test_of_what_is_not_ours_nothing_is_told() -> None:
    document = error_to_map(ValueError("the token is hunter2"))
    assert document["code"] == "internal"
    assert "hunter2" not in str(document)
    assert type(over_the_wire(KeyError())) is InternalError


def test_a_subclass_goes_by_its_base() -> None:
    class _Busy(RefusedError):
        pass

    assert type(over_the_wire(_Busy("busy"))) is RefusedError


def test_a_code_that_is_not_known_is_an_internal_error() -> None:
    error = error_from_map({"code": "quantum", "message": "m", "more": 1})
    assert (type(error), str(error)) == (InternalError, "m")


@pytest.mark.parametrize(
    "value",
    [None, "text", ["code", "message"], {}, {"code": "host"}, {"code": 1, "message": "m"},
     {"code": "host", "message": 7}, {"code": "refused", "message": "m", "retry_after_seconds": -1},
     {"code": "exec", "message": "m"}, {"code": "exec", "message": "m", "errno": 0, "command": b""},
     {"code": "spec", "message": "m", "field": 1}],
)  # fmt: skip
def test_what_is_no_error_object_is_a_protocol_error(value: Any) -> None:
    with pytest.raises(ProtocolError):
        error_from_map(value)


@given(st.text(), st.text())
def test_any_text_arrives_in_some_form(field: str, problem: str) -> None:
    assert type(over_the_wire(SpecError(field, problem))) is SpecError
    assert type(over_the_wire(errors.HostError(problem))) is errors.HostError


def test_a_long_message_is_cut() -> None:
    assert len(str(over_the_wire(errors.HostError("\udcff" * 100000)))) == 16384
