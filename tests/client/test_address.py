"""Where a server is, and what it is shown: from texts and the environment."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.client import address
from sandbox.client.address import (
    Credentials,
    default_address,
    find_credentials,
    is_loopback,
    parse_address,
)
from sandbox.spec.errors import SpecError


def test_each_form_is_read() -> None:
    assert parse_address("unix:/run/s.sock").path == "/run/s.sock"
    tls = parse_address("tls:judge.example.org:7000")
    assert (tls.path, tls.host, tls.port) == (None, "judge.example.org", 7000)
    assert tls.is_encrypted
    tcp = parse_address("tcp:[::1]:7000")
    assert (tcp.host, tcp.port, tcp.is_encrypted) == ("::1", 7000, False)
    assert parse_address("tcp:localhost:1").host == "localhost"


def test_a_relative_path_begins_at_our_directory() -> None:
    assert parse_address("unix:s.sock").path == str(Path.cwd() / "s.sock")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no address; write unix:PATH"),
        ("/run/s.sock", "is no address"),
        ("http:a:1", "is no address"),
        ("unix:", "is no address"),
        ("unix:/" + "a" * 107, "over 107 bytes"),
        ("unix:/a\0b", "no socket's"),
        ("tls:host", "lacks a host or a port; write tls:HOST:PORT"),
        ("tls::7000", "lacks a host"),
        ("tls:host:0", "lacks a host or a port"),
        ("tls:host:65536", "lacks a host or a port"),
        ("tls:host:٣", "lacks a host or a port"),
        ("tls:host:0000809999", "lacks a host or a port"),
        ("tls:host:000080" + "1" * 5000, "lacks a host or a port"),
        ("tcp:\udcff:1", r"write tls:\\udcff:1"),
        ("tcp:judge.example.org:7000", "is in clear; write tls:judge.example.org:7000"),
        ("tcp:127.0.0.1.example.org:7000", "is in clear"),
        ("tcp:0.0.0.0:7000", "is in clear"),
    ],
)
def test_what_is_no_address_is_told(text: str, complaint: str) -> None:
    with pytest.raises(SpecError, match=complaint) as caught:
        parse_address(text, "SANDBOX_HOST")
    assert caught.value.field == "SANDBOX_HOST"


@given(st.text(max_size=30) | st.text("unixtlcp:[]/.0127", max_size=30))
def test_no_text_raises_anything_but_our_error(text: str) -> None:
    try:
        parse_address(text)
    except SpecError:
        return


def test_only_loopback_is_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.8.9.10", "::1")))
    assert not any(map(is_loopback, ("127.1", "127.0.0.256", "128.0.0.1", "::", "127.0.0.1.a")))


def test_the_environment_says_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address, "_SYSTEM_SOCKET", str(tmp_path / "system.sock"))
    own = f"{tmp_path}/sandbox/sandbox.sock"
    assert default_address({"SANDBOX_HOST": "tls:a:1"}).host == "a"
    assert default_address({"XDG_RUNTIME_DIR": str(tmp_path)}).path == own
    with pytest.raises(SpecError, match=r"^SANDBOX_HOST: "):
        default_address({"SANDBOX_HOST": "nowhere"})


def test_the_hosts_server_is_used_where_there_is_none_of_our_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = tmp_path / "system.sock"
    system.touch()
    monkeypatch.setattr(address, "_SYSTEM_SOCKET", str(system))
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    assert default_address(environment).path == str(system)
    own = tmp_path / "sandbox" / "sandbox.sock"
    own.parent.mkdir()
    own.touch()
    assert default_address(environment).path == str(own)


def test_credentials_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("secret\n")
    assert find_credentials({}) == Credentials()
    assert find_credentials({"SANDBOX_TOKEN_FILE": str(file)}).token == "secret"
    assert find_credentials({"SANDBOX_TOKEN": "a", "SANDBOX_TOKEN_FILE": str(file)}).token == "a"
    files = {f"SANDBOX_TLS_{name}": name for name in ("CA", "CERTIFICATE", "KEY")}
    assert find_credentials(files) == Credentials(None, "CA", "CERTIFICATE", "KEY")


@pytest.mark.parametrize(
    ("environment", "field"),
    [
        ({"SANDBOX_TOKEN": "two\nlines"}, "SANDBOX_TOKEN"),
        ({"SANDBOX_TOKEN": "é"}, "SANDBOX_TOKEN"),
        ({"SANDBOX_TOKEN": "a" * 1025}, "SANDBOX_TOKEN"),
        ({"SANDBOX_TOKEN_FILE": "/nowhere/token"}, "SANDBOX_TOKEN_FILE"),
        ({"SANDBOX_TOKEN_FILE": "/bin/true"}, "SANDBOX_TOKEN_FILE"),
        ({"SANDBOX_TLS_KEY": "k"}, "SANDBOX_TLS_KEY"),
    ],
)
def test_wrong_credentials_are_named(environment: dict[str, str], field: str) -> None:
    with pytest.raises(SpecError) as caught:
        find_credentials(environment)
    assert caught.value.field == field
