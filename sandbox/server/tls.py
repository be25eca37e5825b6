"""TLS for the TCP listener: 1.3, and certificates on both sides where a CA for clients is named."""

import ipaddress
import ssl
from pathlib import Path

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import shown
from sandbox.spec.trusted_file import read_trusted

__all__ = ["require_loopback", "server_context"]


def server_context(
    certificate: Path, key: Path, client_ca: Path | None, field: str = "listen"
) -> ssl.SSLContext:
    """The context of our side. With `client_ca`, a peer without a certificate of it is refused.

    `certificate` and `client_ca` may hold several, in PEM. A client's certificate may be in
    `client_ca` itself, so that no CA is needed. Raises SpecError naming `field`.tls_….
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Every client of today has 1.3, and before it what was negotiated needs care.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # No resumption: whoever comes back is looked at again, by what is in force then.
    context.num_tickets = 0
    _load_own(context, certificate, key, field)
    if client_ca is not None:
        _require_clients(context, client_ca, f"{field}.tls_client_ca")
    return context


def require_loopback(host: str, field: str) -> None:
    """Raises SpecError unless `host` is an address that only this machine can reach.

    A name is none: what it stands for is decided elsewhere, and may change.
    """
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise SpecError(
            field,
            f"{shown(host)} without TLS would show tokens and jobs to the network; name a "
            "certificate, or listen on 127.0.0.1 or ::1",
        )


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path, field: str) -> None:
    read_trusted(certificate, f"{field}.tls_certificate")
    read_trusted(key, f"{field}.tls_key", is_secret=True)

    def no_password() -> str:  # without it, OpenSSL would ask at the terminal
        raise SpecError(f"{field}.tls_key", f"{key} has a password; a daemon can ask nobody for it")

    try:
        context.load_cert_chain(certificate, key, no_password)
    except OSError as error:  # ssl.SSLError is one
        problem = f"{certificate} and {key} are no pair: {_reason(error)}"
        raise SpecError(f"{field}.tls_certificate", problem) from error


def _require_clients(context: ssl.SSLContext, client_ca: Path, field: str) -> None:
    trusted = read_trusted(client_ca, field)
    try:
        context.load_verify_locations(cadata=trusted.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise SpecError(field, f"{client_ca} holds no certificates in PEM") from error
    context.verify_mode = ssl.CERT_REQUIRED
    # What is in the file is trusted as it is, CA or not; X509_VERIFY_PARAM_set_flags(3).
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _reason(error: OSError) -> str:
    # What is no PEM at all has no reason, or says "PEM lib".
    return (getattr(error, "reason", None) or "no PEM").replace("_", " ").lower()
