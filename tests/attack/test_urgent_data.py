"""Urgent data of unix sockets: a corner of the kernel with a history, CVE-2025-38236."""

import errno
from pathlib import Path

import pyseccomp
import pytest
from containment.walls import attack
from supervisor.bpf import Call, run

from sandbox.spec.policy import load_policy, policy_names
from sandbox.supervisor.seccomp import ARCH, compile_filter

ALLOW = 0x7FFF0000
FLAGS_AT = {
    "recvfrom": 3, "recvmmsg": 3, "recvmsg": 2, "sendmmsg": 3, "sendmsg": 2, "sendto": 3,
}  # fmt: skip
SENDS = """
import socket
one, other = socket.socketpair()
try:
    one.send(b"urgent", socket.MSG_OOB)
    print(other.recv(1, socket.MSG_OOB))
except OSError as error:
    print(error.errno)
one.send(b"x")
print(other.recv(100))
"""


def test_a_job_sends_no_urgent_data(tmp_path: Path) -> None:
    _, output = attack(SENDS, tmp_path)
    if output.startswith(str(errno.EOPNOTSUPP)):
        pytest.skip("this kernel has no urgent data of unix sockets")
    assert output.startswith("b't'\n"), "control: it must work"
    for policy in ("default", "python"):
        _, output = attack(SENDS, tmp_path, policy=load_policy(policy))
        assert output == f"{errno.EOPNOTSUPP}\nb'x'\n"


@pytest.mark.parametrize("policy", policy_names())
def test_no_policy_allows_urgent_data(policy: str) -> None:
    program = compile_filter(load_policy(policy), listener=True).program
    for call, at in FLAGS_AT.items():
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, call)
        for flags in (1, 0x4001, 1 << 32 | 1):
            arguments = (*[0] * at, flags, *[0] * (5 - at))
            assert run(program, Call(ARCH, number, arguments)) != ALLOW
        if policy == "default":
            arguments = (*[0] * at, 0x4000, *[0] * (5 - at))
            assert run(program, Call(ARCH, number, arguments)) == ALLOW
