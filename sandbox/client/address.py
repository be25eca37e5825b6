"""Where a server listens, and what to show it: from the command line or the environment."""

from __future__ import annotations

import os

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import printable, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NamedTuple
else:
    from sandbox.spec.named_tuple import NamedTuple

__all__ = [
    "Address", "Credentials", "choose", "default_address", "find_credentials", "is_loopback",
    "parse_address",
]  # fmt: skip

_FORMS = "write unix:PATH, tls:HOST:PORT, or tcp:HOST:PORT on the loopback"
_SYSTEM_SOCKET = "/run/sandbox-serve/sandbox.sock"  # of the host's own service
_MOST_PATH_BYTES = 107  # sun_path without its NUL, unix(7)
_MOST_PORT_DIGITS = 5
_MOST_TOKEN_LENGTH = 1024  # it must fit into the first frame, which is small


class Address(NamedTuple):
    """One place where a server listens: a socket's path, or a host and port."""

    text: str  # as it was written: what messages name
    path: str | None = None
    host: str = ""
    port: int = 0
    is_encrypted: bool = False


class Credentials(NamedTuple):
    """What a server on TCP is shown: a bearer token, or a certificate with its key (PEM files).

    `ca`: a PEM file of whom to believe that the server is the server; None: the system's.
    """

    token: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None


def parse_address(text: str, field: str = "address") -> Address:
    """The address that `text` says. Raises SpecError with `field`."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in ("unix", "tls", "tcp") or not rest:
        raise SpecError(field, f"{shown(text)} is no address; {_FORMS}")
    if kind == "unix":
        # Without pathlib, which costs a command milliseconds at its start.
        path = os.path.abspath(rest)
        if not 0 < len(os.fsencode(path)) <= _MOST_PATH_BYTES or "\0" in path:
            raise SpecError(field, f"{shown(path)} is over {_MOST_PATH_BYTES} bytes: no socket's")
        return Address(text, path=path)
    host, _, port_text = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port_text.isascii() and port_text.isdigit() and len(port_text) <= _MOST_PORT_DIGITS
    if not host or not is_port or not 0 < int(port_text) < 1 << 16:
        raise SpecError(field, f"{shown(text)} lacks a host or a port; write {kind}:HOST:PORT")
    if kind == "tcp" and host != "localhost" and not is_loopback(host):
        raise SpecError(
            field,
            f"{shown(host)} is not this machine, and tcp: is in clear; write tls:{printable(rest)}",
        )
    return Address(text, host=host, port=int(port_text), is_encrypted=kind == "tls")


def default_address(environment: Mapping[str, str] = os.environ) -> Address:
    """$SANDBOX_HOST, else the socket of this user's own server, else that of the host's, if there
    is one. Raises SpecError.
    """
    if text := environment.get("SANDBOX_HOST"):
        return parse_address(text, "SANDBOX_HOST")
    runtime = environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    own = f"{runtime}/sandbox/sandbox.sock"
    exists = os.path.exists
    is_own = os.geteuid() != 0 and (exists(own) or not exists(_SYSTEM_SOCKET))
    return parse_address(f"unix:{own if is_own else _SYSTEM_SOCKET}", "XDG_RUNTIME_DIR")


def find_credentials(environment: Mapping[str, str] = os.environ) -> Credentials:
    """Those of the environment: SANDBOX_TOKEN, or what the file SANDBOX_TOKEN_FILE holds, and
    the files SANDBOX_TLS_CA, SANDBOX_TLS_CERTIFICATE and SANDBOX_TLS_KEY. Raises SpecError.
    """
    token = environment.get("SANDBOX_TOKEN")
    if not token and (path := environment.get("SANDBOX_TOKEN_FILE")):
        token = _token_in(path)
    if token and not _is_token(token):
        raise SpecError("SANDBOX_TOKEN", "is no token: one line of printable ASCII")
    certificate = environment.get("SANDBOX_TLS_CERTIFICATE") or None
    key = environment.get("SANDBOX_TLS_KEY") or None
    if key and not certificate:
        raise SpecError("SANDBOX_TLS_KEY", "is of no use without SANDBOX_TLS_CERTIFICATE")
    return Credentials(token or None, environment.get("SANDBOX_TLS_CA") or None, certificate, key)


def choose(
    address: str | Address | None, token: str | None, credentials: Credentials | None
) -> tuple[Address, Credentials]:
    """What a client was given, and for what it was not, the environment's. Raises SpecError."""
    if not isinstance(address, Address):
        address = default_address() if address is None else parse_address(address)
    credentials = find_credentials() if credentials is None else credentials
    return address, credentials if token is None else credentials._replace(token=token)


def is_loopback(host: str) -> bool:
    """Whether a numeric address is of this machine only."""
    numbers = host.split(".")
    return host == "::1" or (numbers[0] == "127" and len(numbers) == 4 and _are_bytes(numbers))


def _are_bytes(numbers: list[str]) -> bool:
    return all(n.isascii() and n.isdigit() and len(n) <= 3 and int(n) < 256 for n in numbers)


def _is_token(text: str) -> bool:
    return len(text) <= _MOST_TOKEN_LENGTH and text.isascii() and text.isprintable()


def _token_in(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read(_MOST_TOKEN_LENGTH + 2).strip()
    except (OSError, ValueError) as error:
        problem = getattr(error, "strerror", None) or "is no text of ASCII"
        raise SpecError("SANDBOX_TOKEN_FILE", f"{path}: {problem}") from error
