"""Runs a program below a seccomp filter of somebody else's: `filtered.py CALL… -- COMMAND…`.

Each CALL fails with EPERM; `namespaces` stands for clone(2) with any CLONE_NEW flag. As root the
filter comes without no_new_privs, as a container engine or systemd loads it.
"""

import errno
import os
import sys

import pyseccomp

_NEW = (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)


def main() -> None:
    """Load the filter and become the command."""
    split = sys.argv.index("--")
    refused = pyseccomp.ERRNO(errno.EPERM)
    filter_ = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    if os.geteuid() == 0:
        filter_.set_attr(pyseccomp.Attr.CTL_NNP, 0)
    for name in sys.argv[1:split]:
        if name == "clone3":  # what container engines answer, so that libc asks clone(2) instead
            filter_.add_rule(pyseccomp.ERRNO(errno.ENOSYS), name)
        elif name != "namespaces":
            filter_.add_rule(refused, name)
        else:
            for flag in _NEW:
                is_set = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag)
                filter_.add_rule(refused, "clone", is_set)
    filter_.load()
    os.execvp(sys.argv[split + 1], sys.argv[split + 1 :])


if __name__ == "__main__":
    main()
