"""The client's end of TLS, over memory: whom it believes, and what it says when it does not."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio

from sandbox.client.address import Credentials
from sandbox.client.aio import AsyncClient
from sandbox.client.calls import Call
from sandbox.client.errors import DisconnectedError, UntrustedError
from sandbox.client.sync import Client
from sandbox.spec.errors import SpecError
from sandbox.wire.framing import FRAME_BYTES, Decoder
from sandbox.wire.messages import Request, Response, encode

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl on this host")


class Files(NamedTuple):
    certificate: str
    key: str


def make_pair(directory: Path, name: str) -> Files:
    pair = Files(str(directory / f"{name}.pem"), str(directory / f"{name}.key"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", f"/CN={name}", "-days", "2", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", pair.key, "-out", pair.certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    return pair


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Files, Files]:
    directory = tmp_path_factory.mktemp("tls")
    return make_pair(directory, "server"), make_pair(directory, "client")


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """A server over TLS in a thread, that answers a call with its params and a mebibyte less."""
    listeners: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(pair: Files, client_ca: str | None = None) -> str:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*pair)
        if client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=answer, args=(listener, context))
        threads.append(thread)
        thread.start()
        return f"tls:127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


def answer(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            connected, _ = listener.accept()
        except OSError:
            return
        decoder = Decoder(FRAME_BYTES)
        try:
            with context.wrap_socket(connected, server_side=True) as tls:
                while data := tls.recv(1 << 16):
                    decoder.feed(data)
                    while isinstance(message := decoder.next_message(), Request):
                        params = message.params[0] if message.params else {}
                        reply = {"called": message.method, "params": params}
                        tls.sendall(encode(Response(message.msgid, None, reply)))
        except OSError:
            connected.close()


def ask(address: str, credentials: Credentials) -> Any:
    with Client(address, credentials=credentials) as client:
        return client.info()


def ask_in_trio(address: str, credentials: Credentials) -> Any:
    async def main() -> Any:
        async with AsyncClient(address, credentials=credentials) as client:
            return await client.info()

    return trio.run(main)


both = pytest.mark.parametrize("ask", [ask, ask_in_trio], ids=["blocking", "trio"])


@both
def test_a_server_that_is_believed_is_asked(ask: Any, serve: Any, pairs: Any) -> None:
    address = serve(pairs[0])
    assert ask(address, Credentials(ca=pairs[0].certificate))["called"] == "server.info"


@both
def test_a_token_is_said_first(ask: Any, serve: Any, pairs: Any) -> None:
    address = serve(pairs[0])
    with Client(
        address, token="secret", credentials=Credentials(ca=pairs[0].certificate)
    ) as client:
        assert client.info()["called"] == "server.info"
    assert ask(address, Credentials("secret", pairs[0].certificate))["called"] == "server.info"


@both
def test_a_server_that_nobody_vouches_for_is_left(ask: Any, serve: Any, pairs: Any) -> None:
    address = serve(pairs[0])
    with pytest.raises(UntrustedError, match=r"TLS failed: self.signed certificate"):
        ask(address, Credentials(ca=pairs[1].certificate))


@both
def test_a_server_of_another_name_is_left(ask: Any, serve: Any, pairs: Any) -> None:
    address = serve(pairs[0]).replace("127.0.0.1", "localhost")
    with pytest.raises(UntrustedError, match="TLS failed: hostname mismatch"):
        ask(address, Credentials(ca=pairs[0].certificate))


@both
def test_who_we_are_is_shown_with_a_certificate(ask: Any, serve: Any, pairs: Any) -> None:
    server, client = pairs
    address = serve(server, client.certificate)
    assert ask(address, Credentials(None, server.certificate, *client))["called"]
    # Its refusal comes after the handshake, and a reset may overtake it.
    with pytest.raises((UntrustedError, DisconnectedError), match=r"required|lost"):
        Client(address, credentials=Credentials(ca=server.certificate), reconnect_seconds=0).info()


def test_much_goes_through_in_both_directions(serve: Any, pairs: Any) -> None:
    data = bytes(FRAME_BYTES // 2)
    credentials = Credentials(ca=pairs[0].certificate)
    with Client(serve(pairs[0]), credentials=credentials) as client:
        call = Call("blob.put", {"data": data}, lambda reply: reply["params"]["data"])
        for _ in range(4):
            assert client.ask(call) == data


def test_files_that_cannot_be_used_are_named(serve: Any, pairs: Any, tmp_path: Path) -> None:
    (tmp_path / "junk").write_text("junk")
    junk = str(tmp_path / "junk")
    for credentials, field in (
        (Credentials(ca="/nowhere"), "SANDBOX_TLS_CA: /nowhere: no such file"),
        (Credentials(ca=junk), "SANDBOX_TLS_CA"),
        (Credentials(None, pairs[0].certificate, junk, junk), "SANDBOX_TLS_CERTIFICATE"),
    ):
        with pytest.raises(SpecError, match=field):
            ask("tls:127.0.0.1:9", credentials)


def test_a_peer_without_tls_is_told(serve: Any, pairs: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        connected, _ = listener.accept()
        with connected:
            connected.sendall(b"220 mail.example.org ESMTP\r\n")
            connected.recv(1 << 16)

    thread = threading.Thread(target=greet)
    thread.start()
    address = f"tls:127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(UntrustedError, match="TLS failed"):
        Client(address, credentials=Credentials(), reconnect_seconds=0).info()
    thread.join()
    listener.close()
