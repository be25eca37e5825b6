"""restapi.secret, as DOMjudge writes it: an endpoint a line, with its URL, user and password."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown, suggestion
from sandbox.spec.trusted_file import read_trusted

__all__ = ["Endpoint", "read_credentials"]


class Endpoint(NamedTuple):
    """One server, and who we are there."""

    name: str
    url: str  # of the API, no slash at its end
    user: str
    password: str

    def __repr__(self) -> str:  # it may end in a log
        return f"Endpoint({self.name}, {self.url}, {self.user}, ***)"


def read_credentials(path: Path, name: str | None, field: str) -> Endpoint:
    """The endpoint called `name` in `path`; without a name, the only one there.

    A line is: name, URL, user, password, between them white space; # begins a comment line. Raises
    SpecError: the file is not ours alone, a line is none, or the URL would show the password.
    """
    found: dict[str, Endpoint] = {}
    try:
        text = read_trusted(path, field, is_secret=True).decode()
    except UnicodeDecodeError as error:
        raise SpecError(field, f"{path}: no UTF-8 at byte {error.start}") from error
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 4:  # the line itself is not shown: it may hold the password
            raise SpecError(
                field, f"{path}:{number}: {len(words)} words, not name URL user password"
            )
        if words[0] in found:
            raise SpecError(field, f"{path}:{number}: {shown(words[0])} is there twice")
        found[words[0]] = Endpoint(words[0], words[1].rstrip("/"), *words[2:])
    if name is None and len(found) != 1:
        raise SpecError(field, f"{path} has {len(found)} endpoints; say which by `endpoint`")
    if name is not None and name not in found:
        raise SpecError(field, f"{path} has no endpoint {shown(name)}{suggestion(name, found)}")
    endpoint = found[name] if name is not None else next(iter(found.values()))
    return endpoint._replace(url=_safe(endpoint.url, f"{field}: {path}"))


def _safe(url: str, field: str) -> str:
    """The URL, if it shows nobody the password. Raises SpecError: it would."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port  # raises where it is no number
    except ValueError as error:
        raise SpecError(field, f"{shown(url)}: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise SpecError(field, f"{shown(url)} is no http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SpecError(field, "a URL has no user, query or fragment here")
    if parts.scheme == "http" and host == "localhost":
        # As DOMjudge is installed. Where the name leads is for a resolver to say, and this is not.
        return parts._replace(netloc="127.0.0.1" if port is None else f"127.0.0.1:{port}").geturl()
    if parts.scheme == "http" and not _is_loopback(host):
        raise SpecError(
            field, f"{shown(url)} would show the password to the network; use https, or a tunnel "
            "to 127.0.0.1",
        )  # fmt: skip
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # a name: what it stands for is decided elsewhere, and may change
        return False
