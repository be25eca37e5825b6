"""Who a peer is: from what the kernel says of it, a token, or a certificate, to a tenant."""

import hashlib
import hmac
import os
import secrets
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from sandbox.server.tenant_config import TenantConfig
from sandbox.spec.errors import RefusedError

__all__ = ["Tenant", "Tenants", "new_token", "peer_uid"]

_TOKEN_BYTES = 32
_UCRED = struct.Struct("iII")  # pid, uid, gid: struct ucred, unix(7)
_NOBODY = 65534
_NO_UID = (1 << 32) - 1


class Tenant(NamedTuple):
    """Whom a connection acts for. `is_local`: it may name paths of the host, and drain us."""

    config: TenantConfig
    is_local: bool = False

    @property
    def name(self) -> str:
        return self.config.name


class Tenants:
    """All that can come in, by what they show. A reload makes another one."""

    def __init__(self, configs: Iterable[TenantConfig], allowed_uids: Iterable[int] = ()) -> None:
        """`allowed_uids` may come too, each as the tenant "uid-N", beside those of a config."""
        configs = tuple(configs)
        self._by_name = {config.name: config for config in configs}
        self._by_uid = {uid: config for config in configs for uid in config.uids}
        self._by_token = {digest: config for config in configs for digest in config.token_hashes}
        self._by_fingerprint = {
            print_: config for config in configs for print_ in config.fingerprints
        }
        self._own_uids = {os.geteuid(), 0}
        self._nobody = {_NOBODY, _NO_UID, _overflow_uid()}
        self.uids = frozenset({*self._own_uids, *allowed_uids, *self._by_uid} - self._nobody)

    def of_uid(self, uid: int) -> Tenant:
        """The tenant of a peer on the unix socket, by `peer_uid`. Raises RefusedError.

        Our own uid and root are local: they could read our memory anyway. The overflow uid is
        refused whatever the configuration says: it is that of everyone in foreign namespaces.
        """
        if uid not in self.uids:
            raise RefusedError(
                f"uid {uid} may not use this server; its administrator can name it in "
                "listen.allow_users, or as one of a tenant's users"
            )
        config = self._by_uid.get(uid) or TenantConfig(f"uid-{uid}")
        return Tenant(config, is_local=uid in self._own_uids)

    def of_token(self, token: str) -> Tenant:
        """The tenant that a bearer token was made for. Raises RefusedError."""
        found, digest = None, _digest(token)
        # All are compared, each in constant time: how long it takes tells nothing.
        for known, config in self._by_token.items():
            if hmac.compare_digest(known, digest):
                found = config
        if found is None:
            raise RefusedError("the token is not known here")
        return Tenant(found)

    def of_certificate(self, certificate: bytes) -> Tenant:
        """The tenant of a peer that TLS has verified, by its certificate's DER. RefusedError.

        The fingerprint decides, not a name in it: so no CA, nor what else it signs, can make one
        tenant pass for another.
        """
        config = self._by_fingerprint.get(hashlib.sha256(certificate).digest())
        if config is None:
            raise RefusedError("the certificate is none of a tenant's")
        return Tenant(config)

    def config_of(self, name: str) -> TenantConfig:
        """What goes for the tenant `name`, which a journal may have; by default what is usual."""
        return self._by_name.get(name) or TenantConfig(name)


def new_token() -> tuple[str, str]:
    """A token for a client to keep secret, and its hash for `tokens` in serve.toml.

    One SHA-256 is enough, and as fast as connections need it: a token has 256 random bits, so
    unlike a password it cannot be found by trying, however cheap a try is.
    """
    # The prefix lets scanners of repositories find one that was published by mistake.
    token = f"sandbox_{secrets.token_urlsafe(_TOKEN_BYTES)}"
    return token, f"sha256:{_digest(token).hex()}"


def peer_uid(connection: socket.socket) -> int:
    """The uid that connected, as the kernel noted then: SO_PEERCRED, unix(7). Raises OSError.

    The pid beside it is nobody's business: it may be another process's by now.
    """
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    _, uid, _ = _UCRED.unpack(credentials)
    return int(uid)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _overflow_uid() -> int:
    try:
        return int(Path("/proc/sys/kernel/overflowuid").read_text())
    except (OSError, ValueError):
        return _NOBODY
