"""What becomes of bytes between a socket and a conversation: nothing, or TLS. No I/O here."""

from __future__ import annotations

from sandbox.client.errors import UntrustedError
from sandbox.spec.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

    from sandbox.client.address import Address, Credentials

__all__ = ["Channel", "TlsChannel", "open_channel"]

_PIECE_BYTES = 64 << 10


class Channel:
    """Bytes in clear. `outgoing` is what is to be written to the socket; its reader cuts it."""

    def __init__(self) -> None:
        self.outgoing = bytearray()
        self.is_ready = True  # whether the peer has shown who it is, where it has to

    def send(self, data: bytes) -> None:
        """Add to `outgoing` what the peer shall read as `data`."""
        self.outgoing += data

    def receive(self, data: bytes) -> bytes:
        """What the peer has sent with these bytes from the socket. May add to `outgoing`."""
        return data


class TlsChannel(Channel):
    """TLS over memory: both clients move the same bytes, whatever they wait with."""

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        import ssl

        super().__init__()
        self._received, self._encrypted = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._encrypted, server_hostname=host)
        self._again = ssl.SSLWantReadError
        self._failure = ssl.SSLError
        self.is_ready = False
        self._waiting = bytearray()  # until the handshake is done
        self._advance()

    def send(self, data: bytes) -> None:
        """Add to `outgoing`, encrypted, once the peer has shown who it is. UntrustedError."""
        self._waiting += data
        self._advance()

    def receive(self, data: bytes) -> bytes:
        """Raises UntrustedError: the peer is not who it should be, or does not believe us."""
        self._received.write(data)
        self._advance()
        if not self.is_ready:
            return b""
        pieces = []
        try:
            while piece := self._tls.read(_PIECE_BYTES):
                pieces.append(piece)
        except self._again:
            pass
        except self._failure as error:
            raise _failed(error) from error
        self._take_encrypted()
        return b"".join(pieces)

    def _advance(self) -> None:
        try:
            if not self.is_ready:
                self._tls.do_handshake()
                self.is_ready = True
            while self._waiting:
                del self._waiting[: self._tls.write(self._waiting)]
        except self._again:
            pass
        except self._failure as error:
            raise _failed(error) from error
        finally:
            self._take_encrypted()

    def _take_encrypted(self) -> None:
        self.outgoing += self._encrypted.read()


def open_channel(address: Address, credentials: Credentials) -> Channel:
    """What `address` needs. Raises SpecError: a file of the credentials cannot be used."""
    if not address.is_encrypted:
        return Channel()
    import ssl  # some ten milliseconds, which a unix socket need not wait for

    try:
        context = ssl.create_default_context(cafile=credentials.ca)
    except OSError as error:
        raise SpecError("SANDBOX_TLS_CA", f"{credentials.ca}: {_reason(error)}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if credentials.certificate:
        try:
            # A password asked for on the terminal would stop whoever embeds us.
            context.load_cert_chain(credentials.certificate, credentials.key, password="")
        except OSError as error:
            files = f"{credentials.certificate}, {credentials.key}"
            raise SpecError("SANDBOX_TLS_CERTIFICATE", f"{files}: {_reason(error)}") from error
    return TlsChannel(context, address.host)


def _failed(error: ssl.SSLError) -> UntrustedError:
    return UntrustedError(
        f"TLS failed: {_reason(error)}; SANDBOX_TLS_CA says whom to believe,"
        " SANDBOX_TLS_CERTIFICATE and SANDBOX_TLS_KEY who we are"
    )


def _reason(error: OSError) -> str:
    # SSLError has both: "CERTIFICATE_VERIFY_FAILED", and a text with the line of OpenSSL's source.
    detail = getattr(error, "verify_message", None) or getattr(error, "reason", None)
    return (detail or error.strerror or str(error)).replace("_", " ").lower()
