"""TLS on loopback, with certificates that openssl makes: who gets in, and who does not."""

import hashlib
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
import trio

from sandbox.server.tenant_config import TenantConfig
from sandbox.server.tenants import Tenants
from sandbox.server.tls import require_loopback, server_context
from sandbox.spec.errors import RefusedError, SpecError

PATIENCE_SECONDS = 30
pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this host")


class Pair(NamedTuple):
    certificate: Path
    key: Path


def openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


def make_pair(directory: Path, name: str, signer: Pair | None = None) -> Pair:
    """A certificate for 127.0.0.1, by `signer`, or by itself and then a CA."""
    pair = Pair(directory / f"{name}.pem", directory / f"{name}.key")
    by = ("-CA", signer.certificate, "-CAkey", signer.key) if signer else ()
    constraint = f"basicConstraints=critical,CA:{'FALSE' if signer else 'TRUE'}"
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", f"/CN={name}", "-days", 2, "-addext", "subjectAltName=IP:127.0.0.1",
        "-addext", constraint, "-keyout", pair.key, "-out", pair.certificate, *by,
    )  # fmt: skip
    pair.certificate.chmod(0o644)
    return pair


class Authority(NamedTuple):
    directory: Path
    ca: Pair
    server: Pair
    client: Pair
    stranger: Pair  # as good as the client's, by a CA that nobody knows


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    directory = tmp_path_factory.mktemp("tls")
    ca = make_pair(directory, "ca")
    other = make_pair(directory, "other")
    return Authority(
        directory, ca, make_pair(directory, "server", ca), make_pair(directory, "client", ca),
        make_pair(directory, "stranger", other),
    )  # fmt: skip


def client_context(ca: Pair, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca.certificate))
    if pair is not None:
        context.load_cert_chain(*pair)
    return context


def connect(server: ssl.SSLContext, client: ssl.SSLContext) -> bytes | ssl.SSLError | None:
    """What the server's side of a handshake, and a byte each way, came to: the peer's DER."""
    outcome: list[bytes | ssl.SSLError | None] = []

    async def serve(transport: trio.SocketStream) -> None:
        stream = trio.SSLStream(transport, server, server_side=True)
        try:
            assert await stream.receive_some(1) == b"?"
            await stream.send_all(b"!")
            outcome.append(stream.getpeercert(binary_form=True))
        except trio.BrokenResourceError as error:
            assert isinstance(error.__cause__, ssl.SSLError), error.__cause__
            outcome.append(error.__cause__)
        finally:
            await trio.aclose_forcefully(stream)

    async def meet() -> None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        with trio.fail_after(PATIENCE_SECONDS):
            async with listener, trio.open_nursery() as nursery:
                transport = await trio.open_tcp_stream("127.0.0.1", port)
                nursery.start_soon(serve, await listener.accept())
                stream = trio.SSLStream(transport, client, server_hostname="127.0.0.1")
                try:
                    await stream.send_all(b"?")
                    await stream.receive_some(1)
                except trio.BrokenResourceError:
                    pass  # the server's side tells why
                finally:
                    await trio.aclose_forcefully(stream)

    trio.run(meet)
    (one,) = outcome
    return one


def test_a_certificate_of_the_named_ca_gets_in_and_tells_the_tenant(authority: Authority) -> None:
    server = server_context(*authority.server, authority.ca.certificate)
    found = connect(server, client_context(authority.ca, authority.client))
    der = ssl.PEM_cert_to_DER_cert(authority.client.certificate.read_text())
    assert found == der
    fingerprint = hashlib.sha256(der).digest()
    tenants = Tenants([TenantConfig("judge", fingerprints=(fingerprint,))])
    assert tenants.of_certificate(der).name == "judge"
    assert not tenants.of_certificate(der).is_local
    with pytest.raises(RefusedError):  # what else the CA signs is not judge, nor anybody
        tenants.of_certificate(ssl.PEM_cert_to_DER_cert(authority.server.certificate.read_text()))


@pytest.mark.parametrize(
    ("who", "reason"),
    [("stranger", "CERTIFICATE_VERIFY_FAILED"), (None, "PEER_DID_NOT_RETURN_A_CERTIFICATE")],
)
def test_any_other_certificate_or_none_is_refused(
    authority: Authority, who: str | None, reason: str
) -> None:
    client = client_context(authority.ca, getattr(authority, who) if who else None)
    found = connect(server_context(*authority.server, authority.ca.certificate), client)
    assert isinstance(found, ssl.SSLError)
    assert found.reason == reason
    # Control: without the CA the same client gets in, unnamed.
    assert connect(server_context(*authority.server, None), client) is None


def test_a_client_certificate_can_be_named_without_its_ca(authority: Authority) -> None:
    server = server_context(*authority.server, authority.client.certificate)
    assert isinstance(connect(server, client_context(authority.ca, authority.client)), bytes)
    for other in (authority.stranger, authority.server):
        found = connect(server, client_context(authority.ca, other))
        assert isinstance(found, ssl.SSLError)


def test_what_is_older_than_tls_1_3_is_refused(authority: Authority) -> None:
    client = client_context(authority.ca)
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    found = connect(server_context(*authority.server, None), client)
    assert isinstance(found, ssl.SSLError)
    assert found.reason == "UNSUPPORTED_PROTOCOL"


def test_no_session_is_resumed(authority: Authority) -> None:
    assert server_context(*authority.server, None).num_tickets == 0


def test_files_that_do_not_do_are_told_by_their_field(authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.server
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nno\n-----END CERTIFICATE-----\n")
    bad.chmod(0o600)
    empty = tmp_path / "empty.pem"
    empty.touch(0o600)
    locked = tmp_path / "locked.key"
    openssl("ec", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
    locked.chmod(0o600)
    absent = tmp_path / "absent"
    table: list[tuple[Path, Path, Path | None, str, str]] = [
        (absent, key, None, "tls_certificate", "No such file"),
        (certificate, absent, None, "tls_key", "No such file"),
        (certificate, key, absent, "tls_client_ca", "No such file"),
        (bad, key, None, "tls_certificate", "are no pair"),
        (certificate, empty, None, "tls_certificate", "are no pair"),
        (certificate, authority.client.key, None, "tls_certificate", "key values mismatch"),
        (certificate, locked, None, "tls_key", "has a password"),
        (certificate, key, bad, "tls_client_ca", "no certificates in PEM"),
        (certificate, key, empty, "tls_client_ca", "no certificates in PEM"),
        (certificate, key, key, "tls_client_ca", "no certificates in PEM"),
    ]
    for *files, field, problem in table:
        with pytest.raises(SpecError, match=problem) as caught:
            server_context(*files)
        assert caught.value.field == f"listen.{field}"


@pytest.mark.parametrize(
    ("position", "mode", "field"),
    [(0, 0o666, "tls_certificate"), (1, 0o644, "tls_key"), (1, 0o620, "tls_key"),
     (2, 0o664, "tls_client_ca")],
)  # fmt: skip
def test_a_file_that_others_can_change_or_a_key_that_they_can_read_is_refused(
    authority: Authority, tmp_path: Path, position: int, mode: int, field: str
) -> None:
    files = [*authority.server, authority.ca.certificate]
    copy = tmp_path / "copy"
    shutil.copy(files[position], copy)
    copy.chmod(mode)
    files[position] = copy
    with pytest.raises(SpecError, match="others can") as caught:
        server_context(*files)
    assert caught.value.field == f"listen.{field}"


def test_a_name_is_no_loopback_address() -> None:
    require_loopback("::1", "tcp")
    with pytest.raises(SpecError, match=r'^tcp: "localhost" without TLS'):
        require_loopback("localhost", "tcp")
