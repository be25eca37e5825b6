"""What the kernel counts on the runner's own user, whoever of its jobs uses it: a share for each.

Limits of that kind are counted in each user namespace up to the first (kernel/ucount.c), so one job
without a share of its own takes from every other job, from every tenant, and from the runner.
"""

import errno
from pathlib import Path

import pytest
from containment.walls import attack, without, without_rlimits

from sandbox.inside import view

QUEUES_SIGNALS = """
import ctypes, os, signal
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
libc = ctypes.CDLL(None, use_errno=True)
count = 0
while count < 2000 and libc.sigqueue(os.getpid(), signal.SIGRTMIN + 1, None) == 0:
    count += 1
print(count, ctypes.get_errno())
"""


def test_a_job_queues_no_more_signals_than_its_share(tmp_path: Path) -> None:
    with without_rlimits():
        _, output = attack(QUEUES_SIGNALS, tmp_path)
        assert output == "2000 0\n", "control: more than a share must be possible"
    _, output = attack(QUEUES_SIGNALS, tmp_path)
    assert output == f"1024 {errno.EAGAIN}\n"


OPENS_TERMINALS = """
import os
count = 0
try:
    while count < 48:
        os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY)
        count += 1
except OSError as error:
    print(count, error.errno)
else:
    print(count)
"""


def test_a_job_opens_no_more_terminals_than_its_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel has some thousand for all its users, and charges their buffers to nobody."""
    monkeypatch.setattr(view, "MOST_TERMINALS", 64)
    _, output = attack(OPENS_TERMINALS, tmp_path)
    assert output == "48\n", "control: more than a share must be possible"
    monkeypatch.undo()
    _, output = attack(OPENS_TERMINALS, tmp_path)
    assert output == f"32 {errno.ENOSPC}\n"


WATCHES_FILES = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
count = 0
while count < 20 and libc.inotify_init() >= 0:
    count += 1
print(count, ctypes.get_errno())
"""
MAKES_A_USER_NAMESPACE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
print(libc.unshare(0x10000000), ctypes.get_errno())
"""


def test_a_job_has_no_more_inotify_instances_than_its_share(tmp_path: Path) -> None:
    with without("shares", look=False):
        _, output = attack(WATCHES_FILES, tmp_path)
        assert output == "20 0\n", "control: more than a share must be possible"
    _, output = attack(WATCHES_FILES, tmp_path)
    assert output == f"16 {errno.EMFILE}\n"


def test_a_job_makes_no_user_namespace_even_where_its_filter_would_allow_it(
    tmp_path: Path,
) -> None:
    with without("shares", look=False):
        _, output = attack(MAKES_A_USER_NAMESPACE, tmp_path)
        assert output == "0 0\n", "control: it must work"
    _, output = attack(MAKES_A_USER_NAMESPACE, tmp_path)
    assert output == f"-1 {errno.ENOSPC}\n"
