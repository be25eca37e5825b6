"""A package's constants: what {{name}} and {{name.variant}} in its texts stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping

__all__ = ["with_constants"]

_SEQUENCE = re.compile(rb"\{\{([a-zA-Z_][a-zA-Z0-9_]*(?:\.[a-zA-Z0-9_]+)?)\}\}")


def with_constants(text: bytes, constants: Mapping[str, str], most_bytes: int) -> bytes:
    """`text` with the constants in it; what names none of them stays. "Constants" of 2025-09.

    What is no UTF-8 is no text, and stays as it is. Raises ValueError: over `most_bytes` of it.
    """
    if not constants or b"{{" not in text:
        return text
    try:
        text.decode()
    except UnicodeDecodeError:
        return text
    left = most_bytes - len(text)

    def value(found: re.Match[bytes]) -> bytes:
        nonlocal left
        said = constants.get(found[1].decode())
        if said is None:
            return found[0]
        encoded = said.encode()
        # Counted as it grows: a long value in many places would be more than there is memory.
        left -= len(encoded) - len(found[0])
        if left < 0:
            raise ValueError(f"is over {most_bytes} bytes with its constants")
        return encoded

    return _SEQUENCE.sub(value, text)
