"""New inputs from known ones."""

import random
from collections.abc import Sequence

__all__ = ["MOST_BYTES", "Mutator"]

MOST_BYTES = 8192
_RECENT = 8
_NUMBERS = (
    b"\xff", b"\xff" * 4, b"\x00" * 4, b"\xff" * 8, b"\x7f", b"\x80", b"\x00\x01", b"\x01\x00",
)  # fmt: skip


class Mutator:
    """Picks an input and changes it here and there."""

    def __init__(self, inputs: Sequence[bytes], tokens: Sequence[bytes], seed: int) -> None:
        """`inputs`: to begin with. `tokens`: pieces that the format is made of."""
        self._inputs = list(inputs) or [b""]
        self._tokens = (*_NUMBERS, *tokens)
        self._chance = random.Random(seed)

    def __len__(self) -> int:
        return len(self._inputs)

    @property
    def known(self) -> Sequence[bytes]:
        """All that it makes new ones from."""
        return self._inputs

    def learn(self, data: bytes) -> None:
        """This one led to something new: what comes of it may too."""
        self._inputs.append(data)

    def __call__(self) -> bytes:
        """The next input."""
        chance = self._chance
        # What was found last has been tried least.
        inputs = self._inputs[-_RECENT:] if chance.randrange(3) == 0 else self._inputs
        data = bytearray(chance.choice(inputs))
        for _ in range(1 << chance.randrange(4)):
            self._change(data)
        return bytes(data[:MOST_BYTES])

    def _change(self, data: bytearray) -> None:
        chance = self._chance
        at = chance.randint(0, len(data))
        match chance.randrange(9):
            case 0 if data:
                data[at % len(data)] ^= 1 << chance.randrange(8)
            case 1 if data:
                data[at % len(data)] = chance.randrange(256)
            case 2:
                data[at:at] = chance.choice(self._tokens)
            case 3:
                token = chance.choice(self._tokens)
                data[at : at + len(token)] = token
            case 4:
                del data[at : at + chance.randint(1, 8)]
            case 5:  # go on as another does, from anywhere in it
                other = chance.choice(self._inputs)
                data[at:] = other[chance.randint(0, len(other)) :]
            case 6:  # a part of another
                other = chance.choice(self._inputs)
                start = chance.randint(0, len(other))
                data[at:at] = other[start : start + chance.randint(1, 64)]
            case 7:
                data[at:at] = chance.randbytes(chance.randint(1, 4))
            case _:
                end = min(len(data), at + chance.randint(1, 32))
                data[at:at] = data[at:end]
