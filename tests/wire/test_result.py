"""A Result over the wire: exactly what was sent, and nothing that a server says raises but ours."""

from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.spec.errors import ProtocolError
from sandbox.spec.result import VERDICTS, Result
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Response, encode
from sandbox.wire.result import result_from_map, result_to_map

# Names of the job's are in it: decoded as the file system's are, whatever their bytes.
TEXTS = st.binary(max_size=9).map(lambda data: data.decode("utf-8", "surrogateescape"))
INTEGERS = st.integers(-(1 << 62), 1 << 62)
NUMBERS = st.floats(allow_nan=False)
DATA = st.recursive(
    st.none() | st.booleans() | INTEGERS | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
OF_TYPE: dict[str, st.SearchStrategy] = {
    "str": TEXTS,
    "int": INTEGERS,
    "float": NUMBERS,
    "int | None": st.none() | INTEGERS,
    "float | None": st.none() | NUMBERS,
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "Mapping[str, int]": st.dictionaries(TEXTS, INTEGERS, max_size=3),
    "Mapping[str, float]": st.dictionaries(TEXTS, NUMBERS, max_size=3),
    "Mapping[str, str]": st.dictionaries(TEXTS, TEXTS, max_size=3),
    "Mapping[str, Any]": st.dictionaries(TEXTS, DATA, max_size=3),
}
FIELDS = {name: OF_TYPE[declared] for name, declared in Result.__annotations__.items()}
RESULTS = st.builds(Result, **{**FIELDS, "verdict": st.sampled_from(VERDICTS)})

ENDED = Result(
    verdict="exited", exit_code=0, signal=None, evidence=("exit 0",), cpu_seconds=0.1,
    cpu_user_seconds=None, cpu_system_seconds=None, wall_seconds=0.5, memory_peak_bytes=1 << 20,
    memory_split_bytes={}, processes_peak=1, throttled_seconds=None, disk_peak_bytes=0,
    disk_peak_inodes=0, stdout_bytes=3, stderr_bytes=0, stdin_bytes=0, overshoot={}, walls={},
    grades={"memory": "kernel"}, artifacts={}, identity={}, host={},
)  # fmt: skip


@given(RESULTS)
def test_a_result_arrives_as_it_was(result: Result) -> None:
    decoder = Decoder(FRAME_BYTES)
    decoder.feed(encode(Response(1, None, result_to_map(result))))
    message = decoder.next_message()
    assert isinstance(message, Response)
    assert result_from_map(message.result) == result


def test_text_is_sent_as_str_and_as_bin_only_where_it_is_none() -> None:
    sent = result_to_map(ENDED._replace(evidence=("é", "\udcff")))
    assert msgpack.unpackb(msgpack.packb(sent["evidence"])) == ["é", b"\xff"]


def test_what_a_newer_server_says_beside_is_ignored_and_what_an_older_omits_is_none() -> None:
    document = result_to_map(ENDED) | {"carbon_grams": 1}
    del document["throttled_seconds"]
    assert result_from_map(document) == ENDED


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"verdict": "won"}, 'in a result, verdict: "won" is not one of'),
        ({"wall_seconds": None}, "in a result, wall_seconds: nothing is no number"),
        ({"exit_code": True}, "in a result, exit_code: true is no whole number"),
        ({"evidence": [1]}, "in a result, evidence: 1 is no text"),
        ({"grades": {"memory": 1}}, "in a result, grades.memory: 1 is no text"),
        ({"host": []}, "in a result, host: an array is no table"),
        ({"stdout_bytes": 1 << 63}, "in a result, stdout_bytes: 9223372036854775808 is out of"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        result_from_map(result_to_map(ENDED) | change)
    assert str(caught.value).startswith(complaint)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)), DATA) | DATA)
def test_no_map_raises_anything_but_a_protocol_error(value: Any) -> None:
    for document in (value, result_to_map(ENDED) | (value if isinstance(value, dict) else {})):
        try:
            assert isinstance(result_from_map(document), Result)
        except ProtocolError as error:
            assert str(error).isprintable()
