"""Sockets: whom a job can reach, and which of the kernel's protocols it can make run."""

import functools
import os
import socket
import struct
from errno import EACCES, ECONNREFUSED, ENETUNREACH, ENOENT, EPERM, EROFS

from sandbox.attack.attack import BARE, USERNS, Attack, add, attack, by
from sandbox.attack.script import AT_FDCWD, AttackScript
from sandbox.attack.targets import Targets

_KIND = "sockets"
_STREAM, _DGRAM, _RAW, _SEQPACKET = 1, 2, 3, 5
_MSG_NOSIGNAL = 0x4000
_SOL_SOCKET, _SO_ATTACH_FILTER = 1, 26
# (family, type, protocol) of kernel code that has been the way out before, socket(2).
_PROTOCOLS = {
    "netlink_route": (16, _RAW, 0), "netlink_netfilter": (16, _RAW, 12),
    "netlink_generic": (16, _RAW, 16), "netlink_audit": (16, _RAW, 9),
    "netlink_uevent": (16, _RAW, 15), "netlink_crypto": (16, _RAW, 21),
    "alg": (38, _SEQPACKET, 0), "vsock": (40, _STREAM, 0), "vsock_datagram": (40, _DGRAM, 0),
    "bluetooth": (31, _RAW, 1), "can": (29, _RAW, 1), "tipc": (30, _SEQPACKET, 0),
    "rds": (21, _SEQPACKET, 0), "nfc": (39, _SEQPACKET, 0), "smc": (43, _STREAM, 0),
    "kcm": (41, _DGRAM, 0), "rxrpc": (33, _DGRAM, 2), "qrtr": (42, _DGRAM, 0),
    "mptcp": (2, _STREAM, 262), "sctp": (2, _STREAM, 132), "udplite": (2, _DGRAM, 136),
    "dccp": (2, 6, 33), "ping": (2, _DGRAM, 1), "inet6": (10, _DGRAM, 0), "inet": (2, _DGRAM, 0),
    "ax25": (3, _SEQPACKET, 0), "x25": (9, _SEQPACKET, 0), "netrom": (6, _SEQPACKET, 0),
    "rose": (11, _SEQPACKET, 0), "appletalk": (5, _DGRAM, 0), "phonet": (35, _DGRAM, 0),
    "caif": (37, _SEQPACKET, 0), "ieee802154": (36, _DGRAM, 0), "llc": (26, _STREAM, 0),
    "pppox": (24, _STREAM, 0), "mctp": (45, _DGRAM, 0), "isdn": (34, _RAW, 0),
}  # fmt: skip
_PRIVILEGED = {
    "packet": (17, _RAW, 0), "packet_datagram": (17, _DGRAM, 0), "raw": (2, _RAW, 1),
    "raw6": (10, _RAW, 58), "xdp": (44, _RAW, 0), "key": (15, _RAW, 2),
}  # fmt: skip
_SIOCGIFINDEX, _SIOCSIFFLAGS = 0x8933, 0x8914


def _open(what: tuple[int, int, int], script: AttackScript, targets: Targets) -> None:
    script.open("socket", *what)


for _name, _what in _PROTOCOLS.items():
    add(
        Attack(
            f"socket_{_name}", _KIND, f"Opens a socket of {_name}.", BARE,
            functools.partial(_open, _what),
        )
    )  # fmt: skip
for _name, _what in _PRIVILEGED.items():
    add(
        Attack(
            f"socket_{_name}", _KIND, f"Opens a socket of {_name}.", USERNS,
            functools.partial(_open, _what), by("identity", socket=EPERM),
        )
    )  # fmt: skip


def _inet(port: int) -> bytes:
    return (
        struct.pack("<H", socket.AF_INET)
        + struct.pack(">H", port)
        + bytes([127, 0, 0, 1] + [0] * 8)
    )


def _unix(path: bytes) -> bytes:
    return struct.pack("<H", socket.AF_UNIX) + path


@attack(_KIND, BARE, by("landlock", connect=EACCES) + by("network", connect=ENETUNREACH))
def connected_by_tcp(script: AttackScript, targets: Targets) -> None:
    """Connects to a server on the host's loopback."""
    fd = script.open("socket", socket.AF_INET, _STREAM, 0)
    address = script.data(_inet(targets.tcp_port))
    script.call("connect", fd, address, 16)


@attack(_KIND, BARE, by("network", sendto=ENETUNREACH))
def sent_by_udp(script: AttackScript, targets: Targets) -> None:
    """Sends a datagram to the host's loopback."""
    fd = script.open("socket", socket.AF_INET, _DGRAM, 0)
    script.call("sendto", fd, b"x", 1, 0, script.data(_inet(targets.udp_port)), 16)


@attack(_KIND, BARE, by("network", connect=ECONNREFUSED) + by("landlock", connect=EPERM))
def connected_to_abstract_name(script: AttackScript, targets: Targets) -> None:
    """Connects to an abstract unix socket of the host."""
    fd = script.open("socket", socket.AF_UNIX, _STREAM, 0)
    address = _unix(targets.abstract)
    script.call("connect", fd, script.data(address), len(address))


@attack(_KIND, BARE, by("view", connect=ENOENT))
def connected_to_path(script: AttackScript, targets: Targets) -> None:
    """Connects to a unix socket of the host by its path."""
    fd = script.open("socket", socket.AF_UNIX, _STREAM, 0)
    address = _unix(targets.socket + b"\0")
    script.call("connect", fd, script.data(address), len(address))


@attack(_KIND, BARE, by("view", bind=EROFS) + by("landlock", bind=EACCES))
def bound_in_input(script: AttackScript, targets: Targets) -> None:
    """Listens in a read-only input, for whoever on the host connects to that."""
    fd = script.open("socket", socket.AF_UNIX, _STREAM, 0)
    path = targets.input + b"-socket"
    address = _unix(path + b"\0")
    script.call("bind", fd, script.data(address), len(address))
    script.call("unlinkat", AT_FDCWD, path, 0)


@attack(_KIND, BARE, by("view", connect=ENOENT))
def passed_fd(script: AttackScript, targets: Targets) -> None:
    """Passes a descriptor of its own to a process of the host (SCM_RIGHTS)."""
    fd = script.open("socket", socket.AF_UNIX, _STREAM, 0)
    address = _unix(targets.socket + b"\0")
    script.call("connect", fd, script.data(address), len(address))
    rights = script.data(struct.pack("<Q3i4x", 20, socket.SOL_SOCKET, socket.SCM_RIGHTS, 0))
    piece = script.iovec(script.data(b"x"), 1)
    message = script.memory(struct.pack("<QI4xQQQQI4x", 0, 0, 0, 1, 0, 24, 0))
    script.point(message + 16, piece)
    script.point(message + 32, rights)
    script.call("sendmsg", fd, message, _MSG_NOSIGNAL)


@attack(_KIND, BARE)
def socket_filter(script: AttackScript, targets: Targets) -> None:
    """Has the kernel compile and run a program of its own for a socket (SO_ATTACH_FILTER)."""
    script.call("socketpair", socket.AF_UNIX, _DGRAM, 0, script.space(8))
    fd, _ = script.take_fds(2)
    program = script.data(struct.pack("<HBBI", 0x06, 0, 0, 0xFFFF))
    filter_ = script.memory(struct.pack("<H6xQ", 1, 0))
    script.point(filter_ + 8, program)
    script.call("setsockopt", fd, _SOL_SOCKET, _SO_ATTACH_FILTER, filter_, 16)


@attack(_KIND, BARE, by("network", ioctl=19))
def named_interface(script: AttackScript, targets: Targets) -> None:
    """Asks for a network interface of the host other than lo."""
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    fd = script.open("socket", socket.AF_INET, _DGRAM, 0)
    request = script.memory(struct.pack("<16s24x", os.fsencode(names[0] if names else "none")))
    script.call("ioctl", fd, _SIOCGIFINDEX, request)


@attack(_KIND, USERNS, by("identity", ioctl=EPERM))
def raised_loopback(script: AttackScript, targets: Targets) -> None:
    """Puts the loopback of its network namespace up."""
    fd = script.open("socket", socket.AF_INET, _DGRAM, 0)
    script.call("ioctl", fd, _SIOCSIFFLAGS, script.data(struct.pack("<16sH22x", b"lo", 1)))
