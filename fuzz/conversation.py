"""One connection's state over a whole conversation, held to a model that is plainly right.

An input is a series of steps: a byte that says which, and a byte that says with what.
"""

from fuzz.driver import main
from sandbox.spec.errors import ProtocolError, RefusedError
from sandbox.wire.calls import Calls
from sandbox.wire.credits import Credits

__all__ = ["target"]

_MOST_CALLS = 4
_MOST_GRANTED = (1 << 63) - 1


def target(data: bytes) -> None:
    """Take each step on both; they agree on what is refused, and why."""
    conversation = _Conversation()
    steps = (
        conversation.call, conversation.call_next, conversation.reply, conversation.grant,
        conversation.grant_much, conversation.spend,
    )  # fmt: skip
    for step, argument in zip(data[::2], data[1::2], strict=False):
        steps[step % len(steps)](argument)
        conversation.check()


class _Conversation:
    def __init__(self) -> None:
        self.calls = Calls(_MOST_CALLS)
        self.in_flight: list[int] = []
        self.credits = Credits()
        self.granted_bytes = self.spent_bytes = 0

    def call(self, msgid: int) -> None:
        try:
            self.calls.begin(msgid)
        except ProtocolError:
            assert msgid in self.in_flight
        except RefusedError:
            assert len(self.in_flight) == _MOST_CALLS and msgid not in self.in_flight
        else:
            assert msgid not in self.in_flight
            self.in_flight.append(msgid)

    def call_next(self, _: int) -> None:
        try:
            msgid = self.calls.begin_next()
        except RefusedError:
            assert len(self.in_flight) == _MOST_CALLS
        else:
            assert msgid not in self.in_flight
            self.in_flight.append(msgid)

    def reply(self, msgid: int) -> None:
        if self.in_flight and msgid % 2:  # to one that is in flight, in any order
            msgid = self.in_flight[msgid % len(self.in_flight)]
        try:
            self.calls.finish(msgid)
        except ProtocolError:
            assert msgid not in self.in_flight
        else:
            self.in_flight.remove(msgid)

    def grant(self, size_bytes: int) -> None:
        try:
            self.credits.grant(size_bytes)
        except ProtocolError:
            assert size_bytes == 0 or self.granted_bytes + size_bytes > _MOST_GRANTED
        else:
            self.granted_bytes += size_bytes

    def grant_much(self, bits: int) -> None:
        self.grant(1 << bits % 65)

    def spend(self, argument: int) -> None:
        # A byte beside the edge, or somewhere below it.
        left_bytes = self.granted_bytes - self.spent_bytes
        size_bytes = left_bytes + argument - 1 if argument < 3 else left_bytes * argument >> 8
        try:
            self.credits.spend(size_bytes)
        except ProtocolError:
            assert not 0 <= size_bytes <= left_bytes
        else:
            self.spent_bytes += size_bytes

    def check(self) -> None:
        assert len(self.calls) == len(self.in_flight) == len(set(self.in_flight)) <= _MOST_CALLS
        assert self.credits.spent_bytes == self.spent_bytes
        assert self.credits.left_bytes == self.granted_bytes - self.spent_bytes >= 0
        assert self.granted_bytes <= _MOST_GRANTED


if __name__ == "__main__":
    main("conversation", target)
