"""The pipes of one payload: both ends of each, until the payload's and the supervisor's part."""

import os

__all__ = ["Ends"]

_OUTPUTS = ("stdout", "stderr")


class Ends:
    """Stdin, stdout and stderr as pipes, or nothing where the payload has a terminal."""

    def __init__(self, *, wanted: bool) -> None:
        self._theirs: list[int] = []  # the payload's, in the order of its fds; -1: closed
        self._ours: list[int] = []  # which do not block; -1: closed, or taken over
        try:
            for number in range(3 if wanted else 0):
                read_fd, write_fd = os.pipe()
                payload, own = (read_fd, write_fd) if number == 0 else (write_fd, read_fd)
                self._theirs.append(payload)
                self._ours.append(own)
                # The payload has another uid, and programs do open /dev/stdout, which opens the
                # inode.
                os.fchmod(read_fd, 0o666)
                os.set_blocking(own, False)
        except BaseException:
            self.close()
            raise

    @property
    def theirs(self) -> tuple[int, ...]:
        """The payload's ends, to be handed over."""
        return tuple(self._theirs)

    def handed_over(self) -> None:
        """The payload has its stdin: when it closes that, nobody reads there any more.

        Our copies of its outputs are kept until `end_outputs`, for each stream that a job closes
        would wake us, just before its exit does.
        """
        if self._theirs:
            self._theirs[0] = _closed(self._theirs[0])

    @property
    def stdin_fd(self) -> int:
        """Our end of stdin."""
        return self._ours[0]

    def outputs(self) -> dict[int, str]:
        """Our ends of the outputs that nobody took over, and their names."""
        ours = zip(self._ours[1:], _OUTPUTS, strict=False)
        return {fd: stream for fd, stream in ours if fd >= 0}

    def take_stdin(self) -> int:
        """Our end of stdin, which is the caller's from here on."""
        fd, self._ours[0] = self._ours[0], -1
        return fd

    def take_output(self, stream: str) -> int:
        """Our end of an output, which is the caller's from here on, and ends with its writers."""
        number = 1 + _OUTPUTS.index(stream)
        self._theirs[number] = _closed(self._theirs[number])
        fd, self._ours[number] = self._ours[number], -1
        return fd

    def close_stdin(self) -> None:
        """EOF for the payload."""
        if self._ours:
            self._ours[0] = _closed(self._ours[0])

    def end_outputs(self) -> None:
        """Close our copies of the payload's ends: once all writers are dead, its outputs end."""
        self._theirs = [_closed(fd) for fd in self._theirs]

    def close(self) -> None:
        """Close what is still open of it. Idempotent."""
        self.end_outputs()
        self._ours = [_closed(fd) for fd in self._ours]


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1
