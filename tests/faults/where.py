"""Which function of ours a Python process is in, in memory that a tracer can read at any moment.

Nothing here makes a system call once it has begun, so that none is added to those that are counted.
"""

import mmap
import os
import struct
import sys
from types import CodeType, FrameType

__all__ = ["PROCESSES", "Board", "tell"]

# Who writes: a slot and a table of names each. All but the first are forks of the keeper.
PROCESSES = ("supervisor", "keeper", "zygote", "lookout", "collector")
_MOST, _NAME_BYTES = 1024, 96  # functions a process, and the name of each
_COUNTED_AT = len(PROCESSES) * 4
_NEXT_AT = _COUNTED_AT + 1
_NUMBERS_BYTES = 4096
_BYTES = _NUMBERS_BYTES + len(PROCESSES) * _MOST * _NAME_BYTES
_FORKS = ("fork_sibling", "clone3")
_ROOT = __file__.removesuffix("tests/faults/where.py") + "sandbox/"


class Board:
    """The memory, as a file that all processes of one run map."""

    def __init__(self, path: str, *, is_new: bool = False) -> None:
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if is_new else 0)
        fd = os.open(path, flags | os.O_CLOEXEC, 0o666)
        try:
            if is_new:
                os.ftruncate(fd, _BYTES)
            self.memory = mmap.mmap(fd, _BYTES)
        finally:
            os.close(fd)
        self.path = path

    @property
    def is_counted(self) -> bool:
        """Whether calls made now belong to the run that is looked at."""
        return bool(self.memory[_COUNTED_AT])

    @is_counted.setter
    def is_counted(self, value: bool) -> None:
        self.memory[_COUNTED_AT] = value

    @property
    def forked(self) -> str:
        """What the keeper forks now, or has forked last."""
        return PROCESSES[self.memory[_NEXT_AT]]

    @forked.setter
    def forked(self, process: str) -> None:
        self.memory[_NEXT_AT] = PROCESSES.index(process)

    def place(self, process: str) -> str:
        """The function that this process is in; "" before it has told of any."""
        (number,) = struct.unpack_from("<i", self.memory, PROCESSES.index(process) * 4)
        at = self._name_at(process, number)
        return self.memory[at : at + _NAME_BYTES].rstrip(b"\0").decode()

    def number(self, process: str, name: str) -> int:
        """The number of a name in the table of this process, and of others of its kind."""
        wanted = name.encode()[: _NAME_BYTES - 1].ljust(_NAME_BYTES, b"\0")
        for number in range(1, _MOST):
            at = self._name_at(process, number)
            if not self.memory[at]:
                self.memory[at : at + _NAME_BYTES] = wanted
            if self.memory[at : at + _NAME_BYTES] == wanted:
                return number
        raise AssertionError("more functions than the table has room for")

    @staticmethod
    def _name_at(process: str, number: int) -> int:
        return _NUMBERS_BYTES + (PROCESSES.index(process) * _MOST + number) * _NAME_BYTES


def tell(path: str, process: str) -> None:
    """From here on this thread tells which function of ours it is in, and so do forks of it."""
    board = Board(path)
    memory, pack = board.memory, struct.Struct("<i").pack_into
    numbers: dict[CodeType, int] = {}
    slot, stack = PROCESSES.index(process), [0]
    forked = process

    def number_of(code: CodeType) -> int:
        if not code.co_filename.startswith(_ROOT):
            return 0
        module = code.co_filename[len(_ROOT) :].removesuffix(".py")
        name, _, _ = code.co_qualname.partition(".<")
        return board.number(PROCESSES[slot], f"{module}.{name}")

    def become(other: str) -> None:
        nonlocal slot
        slot = PROCESSES.index(other)
        numbers.clear()
        stack[:] = [0] * len(stack)

    def is_born(frame: FrameType) -> bool:
        """Whether this is a child's first call of all, which judges what clone3(2) returned."""
        callers = frame.f_back, frame.f_back.f_back
        names = [each and each.f_code.co_name for each in callers]
        return names[0] == "syscall" and names[1] in _FORKS and frame.f_locals["value"] == 0

    def look(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal forked
        code = frame.f_code
        if event == "call":
            if code.co_name == "fork_sibling":
                order = frame.f_back.f_locals["order"]
                board.forked = forked = "zygote" if order[:1] == b"z" else "lookout"
            elif code.co_name == "check" and is_born(frame):
                # Before it could write to what is its parent's.
                become(forked if frame.f_back.f_back.f_code.co_name == _FORKS[0] else "collector")
            if code not in numbers:
                numbers[code] = number_of(code)
            stack.append(numbers[code] or stack[-1])
        elif event == "return":
            if len(stack) > 1:
                stack.pop()
        else:
            return
        pack(memory, slot * 4, stack[-1])

    sys.setprofile(look)
