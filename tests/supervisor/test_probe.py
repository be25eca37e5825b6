"""The mount table of a sandbox, as its supervisor reads it: no line of it goes unread."""

import pytest

from sandbox.spec.errors import SetupError
from sandbox.supervisor import probe

PLANNED = ((b"/", b"ro,nosuid,nodev"), (b"/work", b"nosuid,nodev"))
TABLE = b"".join(
    b"%d 1 0:9 / %b %b - tmpfs none rw\n" % (number, *mount) for number, mount in enumerate(PLANNED)
)


def is_planned(table: bytes) -> bool:
    return probe._is_planned(probe._mounts(table), dict(PLANNED), ())


def test_the_planned_table_holds() -> None:
    assert is_planned(TABLE)


@pytest.mark.parametrize("blank", [b"\r", b"\v", b"\f", b"\x1c", b"\xa0"])
def test_a_mount_is_seen_whatever_blanks_are_in_its_names(blank: bytes) -> None:
    """The kernel quotes space, tab and newline only: mangle(), fs/proc_namespace.c."""
    point = b"/a" + blank + b"b"
    line = b"9 1 0:9 /%bx %b rw - tmpfs s%bt rw\n" % (blank, point, blank)
    assert probe._mounts(line) == ((point, b"rw", b""),)
    assert not is_planned(TABLE + line), "one more than planned"


def test_a_line_that_is_not_understood_is_no_table() -> None:
    with pytest.raises(SetupError):
        probe._mounts(TABLE + b"9 1 0:9 /\n")
