"""What a supervisor may ask of its lookout, and what comes back: one packet each."""

from __future__ import annotations

import struct

__all__ = ["ERRNO", "LISTEN", "OPEN", "SEE", "WAITS"]

# Of processes, by pids of 32 bits behind it: their namespaces; the same, and the filter's listener
# of the last, whose pidfd comes along; the first one's user and mount namespaces, as fds; what
# their threads wait for, as sandbox/supervisor/waits.py says.
SEE, LISTEN, OPEN, WAITS = b"s", b"l", b"o", b"w"
ERRNO = struct.Struct("<i")  # an answer begins with it; 0, and then what was found
