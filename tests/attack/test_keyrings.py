"""The keys of whoever started us: a session keyring is inherited, and its keys come with it.

PAM gives one to each session (pam_keyinit(8)), and links the user's own keyring to it.
"""

import ctypes
import secrets
from errno import ENOKEY
from pathlib import Path

import pyseccomp
import pytest
from containment.walls import attack, planning

from sandbox.kernel.call import libc, syscall
from sandbox.kernel.processes import KEYCTL_JOIN_SESSION_KEYRING
from sandbox.supervisor.planner import host_facts

_SESSION = -3  # KEY_SPEC_SESSION_KEYRING, keyctl(2)
_ADD_KEY, _REQUEST_KEY = (
    pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in ("add_key", "request_key")
)
REQUESTS = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
found = libc.syscall({_REQUEST_KEY}, b"user", b"%s", None, 0)
print("found" if found > 0 else ctypes.get_errno())
"""


@pytest.fixture
def key() -> bytes:
    """The description of one in the session keyring of this process, as it stays to its end."""
    if not host_facts().has_keyrings:
        pytest.skip("this kernel has no keyrings, or a filter around us keeps them from us")
    syscall("keyctl", KEYCTL_JOIN_SESSION_KEYRING, None)
    name = b"sandbox-test-" + secrets.token_hex(8).encode()
    wide = (ctypes.c_long(_ADD_KEY), b"user", name, b"secret", ctypes.c_long(6))
    assert libc.syscall(*wide, ctypes.c_long(_SESSION)) > 0
    return name


def test_a_job_has_no_keys_of_its_runners_session(key: bytes, tmp_path: Path) -> None:
    program = REQUESTS % key.decode()
    with planning(has_keyrings=False):
        _, output = attack(program, tmp_path)
        assert output == "found\n", "control: without the wall a job must find it"
    _, output = attack(program, tmp_path)
    assert output == f"{ENOKEY}\n"
