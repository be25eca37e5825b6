"""The two calls that the kernel shows no filter: what they do for a job anyway, which is nothing.

uretprobe (Linux 6.14) and uprobe (6.18) of x86-64 come from code that the kernel itself puts into a
process where an administrator has set a probe, and pass every filter (seccomp_uprobe_exception in
kernel/seccomp.c). Whoever calls them from anywhere else gets a signal, or an error.
"""

import errno
import os
import platform
import signal

import pytest
from policies.filtered import filter_loader, libc_syscall
from supervisor.oracle import numbers

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="calls of x86-64 alone")

# Not shown to the filter, or, on older kernels, answered by the policy.
NOTHING = {-signal.SIGILL, errno.ENXIO, errno.ENOSYS, errno.EPERM}


@pytest.mark.parametrize("policy", ["strict", "native", "default"])
@pytest.mark.parametrize("call", ["uprobe", "uretprobe"])
def test_a_call_that_no_filter_sees_does_nothing(call: str, policy: str) -> None:
    load = filter_loader(policy)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGILL, signal.SIG_DFL)  # pytest has a handler
        load()
        os._exit(libc_syscall(numbers("x86_64")[call]))
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in NOTHING
