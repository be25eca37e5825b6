"""What the kernel counts on the runner's own user, whoever of its jobs uses it: a share for each.

Limits of that kind are counted in each user namespace up to the first (kernel/ucount.c), so one job
without a share of its own takes from every other job, from every tenant, and from the runner.
"""

import errno
from pathlib import Path

from containment.walls import attack, without_rlimits

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
