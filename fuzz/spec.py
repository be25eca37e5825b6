"""A Job and its Limits from a map: whatever it says, a Job or a SpecError that names the field.

An input is one value of msgpack.
"""

from fuzz.driver import MSGPACK_TOKENS as TOKENS
from fuzz.driver import main
from fuzz.message import value_of
from fuzz.options import require_inside
from sandbox.spec.errors import SpecError
from sandbox.spec.limits import Limits, limits_from_mapping
from sandbox.wire.job import job_from_map, job_to_map

__all__ = ["TOKENS", "target"]


def target(data: bytes) -> None:
    """What is accepted survives the way there and back; what is refused is told in one line."""
    decoded = value_of(data)
    if decoded is None:
        return
    for value in (decoded[0], {"command": (b"x",), "limits": decoded[0]}):
        try:
            job = job_from_map(value)
        except SpecError as error:
            assert error.field
            assert str(error).isprintable()
        else:
            assert job_from_map(job_to_map(job)) == job
            require_inside(job)
    try:
        assert limits_from_mapping(decoded[0]).keys() <= set(Limits._fields)
    except SpecError as error:
        assert str(error).isprintable()


if __name__ == "__main__":
    main("spec", target, TOKENS)
