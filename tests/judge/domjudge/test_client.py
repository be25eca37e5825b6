"""HTTP: what is tried again, what is not, and whom the password is shown to."""

import shutil
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from judge.domjudge.fake import PASSWORD, USER, FakeServer, Fault, Reply

from sandbox.judge.domjudge.client import HttpClient, ServerError, tls_context
from sandbox.judge.domjudge.config import Backoff
from sandbox.judge.domjudge.credentials import Endpoint
from sandbox.spec.errors import ProtocolError, SpecError


def ask(url: str, context: ssl.SSLContext | None = None, path: str = "config") -> Any:
    """What a server answers to one GET, tried three times at most."""

    async def main() -> Any:
        client = HttpClient(
            Endpoint("fake", url, USER, PASSWORD), context or tls_context(None),
            request_seconds=30, answer_bytes=1000, backoff=Backoff(3, 0.001, 0.001),
        )  # fmt: skip
        async with client:
            return await client.request("GET", path)

    return trio.run(main)


@pytest.mark.parametrize(("reply", "tries"), [
    (Reply(500), 3), (Reply(503, b"<html>"), 3), (Reply(429), 3), (Reply(body=b"<html>"), 3),
    (Reply(body=b"[NaN]"), 3), (Reply(body=b"[" * 900), 3), ("reset", 3),
    (Reply(400), 1), (Reply(401), 1), (Reply(403), 1), (Reply(404), 1),
    (Reply(500, {"message": "no", "retry": False}), 1),
    (Reply(302, headers=(("Location", "http://elsewhere/"),)), 1),
])  # fmt: skip
def test_what_may_work_the_next_time_is_tried_again(reply: Reply | str, tries: int) -> None:
    with FakeServer() as server:
        server.faults = [Fault("config", reply, count=9)]
        with pytest.raises(ServerError, match="GET config"):
            ask(server.url)
        assert 9 - server.faults[0].count == tries


def test_it_works_as_soon_as_the_server_does() -> None:
    with FakeServer() as server:
        server.faults = [Fault("config", Reply(500), count=2)]
        assert ask(server.url) == server.config


def test_a_redirect_is_not_followed_and_named() -> None:
    with FakeServer() as server, FakeServer() as other:
        location = f"{other.url}/config"
        server.faults = [Fault("config", Reply(301, headers=(("Location", location),)))]
        with pytest.raises(ServerError, match=location):
            ask(server.url)
        assert other.requests == []


def test_an_answer_is_read_up_to_its_bound() -> None:
    with FakeServer() as server:
        server.faults = [
            Fault("config", Reply(body=b"1" * 1000)),
            Fault("config", Reply(body=b"1" * 1001)),
        ]
        assert ask(server.url) == int("1" * 1000)
        with pytest.raises(ProtocolError, match="over 1000 bytes"):
            ask(server.url)


def test_a_message_of_the_server_cannot_write_to_a_terminal() -> None:
    with FakeServer() as server:
        server.faults = [Fault("config", Reply(400, {"message": "\x1b[2Jgone"}))]
        with pytest.raises(ServerError) as refused:
            ask(server.url)
    assert "\x1b" not in str(refused.value) and "gone" in str(refused.value)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Of 127.0.0.1, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this host")
    path = tmp_path / "server.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-subj", "/CN=server", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", tmp_path / "key", "-out", path],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_text(path.read_text() + (tmp_path / "key").read_text())
    return path


def test_the_password_is_shown_to_a_server_that_the_ca_vouches_for_only(certificate: Path) -> None:
    with FakeServer() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.wrap(context)
        with pytest.raises(ServerError, match="CERTIFICATE_VERIFY_FAILED"):
            ask(server.url)
        assert server.requests == []
        assert ask(server.url, tls_context(certificate)) == server.config


@pytest.mark.parametrize("make", [
    lambda path: None, lambda path: path.write_text("no certificate"),
], ids=["missing", "text"])  # fmt: skip
def test_a_ca_file_that_is_none_is_named(tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(tmp_path / "ca.pem")
    with pytest.raises(SpecError, match=r"ca_file: .*ca\.pem"):
        tls_context(tmp_path / "ca.pem")
