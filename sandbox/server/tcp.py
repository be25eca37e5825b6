"""TCP ports, opened before anything runs: a server that has locked itself can bind none."""

import socket
from typing import Any

__all__ = ["bind_tcp"]


def bind_tcp(host: str, port: int, backlog: int) -> list[socket.socket]:
    """Listen at every address of `host`; port 0 is any that is free. Raises OSError."""
    found = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICSERV
    )
    listeners: list[socket.socket] = []
    refusal: OSError | None = None
    try:
        for family, kind, protocol, _, address in found:
            try:
                bound = socket.socket(family, kind, protocol)
            except OSError as error:  # a host without IPv6 may still name an address of it
                refusal = error
                continue
            listeners.append(_listening(bound, family, address, backlog))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    if not listeners and refusal is not None:
        raise refusal
    return listeners


def _listening(bound: socket.socket, family: int, address: Any, backlog: int) -> socket.socket:
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
        bound.listen(backlog)
        return bound
    except BaseException:
        bound.close()
        raise
