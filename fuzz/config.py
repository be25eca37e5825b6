"""serve.toml: whatever it says, a Config or a SpecError; what it lets in, it says.

An input is the text of the file.
"""

import ipaddress
from pathlib import Path

from fuzz.driver import main
from sandbox.server.config import Config, config_from_mapping
from sandbox.server.tenants import Tenants
from sandbox.spec.errors import RefusedError, SpecError
from sandbox.spec.toml_file import parsed

__all__ = ["TOKENS", "target"]

_PLACE = Path("/nowhere")
_HASH = b'"sha256:' + b"ab" * 32 + b'"'
TOKENS = (
    b"\n[listen]\n", b'tcp = "127.0.0.1:0"\n', b'tcp = "[::1]:7000"\n', b'tcp = "0.0.0.0:1"\n',
    b"clear = true\n", b'tls_certificate = "c.pem"\n', b'tls_key = "k.pem"\n',
    b'tls_client_ca = "ca.pem"\n', b'metrics = "localhost:9"\n', b"allow_users = [0, 1000]\n",
    b'socket = "s"\n', b"\n[state]\n", b'directory = "d"\n', b'results_bytes = "1GiB"\n',
    b"results_seconds = inf\n", b"blob_seconds = nan\n", b"\n[budget]\n", b'memory = "1GiB"\n',
    b"own_cores = [0, 1]\n", b"most_queued = -1\n", b"\n[policies]\n", b"\n[log]\n",
    b'format = "json"\n', b"drain_seconds = 1e999\n", b"\n[tenants.a]\n", b"\n[tenants.b]\n",
    b"\n[tenants.uid-7]\n", b"tokens = [" + _HASH + b"]\n", b"certificates = [" + _HASH + b"]\n",
    b'users = ["root"]\n', b"weight = 1e308\n", b"most_priority = 100\n", b'"\\u0000"', b"65534",
    b"localhost", b"127.1", b".example.org", b"0x7f.1", b"::ffff:127.0.0.1", b"2130706433",
    b"4294967295", b"9" * 5000, b"1979-05-27", b"{ a = ", b"[" * 40, b'"\xc2\xb2"',
)  # fmt: skip


def target(data: bytes) -> None:
    """A refusal names its field and shows no hash; what is accepted is held to the promises."""
    try:
        config = config_from_mapping(parsed(data, _PLACE / "serve.toml", "config"), _PLACE)
    except SpecError as error:
        assert error.field and str(error).isprintable(), repr(str(error))
        return
    _require_guarded(config)
    _require_told_apart(config)


def _require_guarded(config: Config) -> None:
    """By TCP nobody comes in without showing who it is, nor in clear from elsewhere."""
    listen = config.listen
    if listen.tcp is None:
        return
    if listen.tls_certificate is None:
        assert listen.is_clear and ipaddress.ip_address(listen.tcp.host).is_loopback
    else:
        assert listen.tls_key is not None and not listen.is_clear
    assert 0 <= listen.tcp.port < 1 << 16
    assert any(tenant.token_hashes or tenant.fingerprints for tenant in config.tenants)


def _require_told_apart(config: Config) -> None:
    """Each peer is one tenant, and none is the users' who have no name."""
    tenants = Tenants(config.tenants, config.listen.allowed_uids)
    for key in ("token_hashes", "fingerprints", "uids"):
        shown = [what for tenant in config.tenants for what in getattr(tenant, key)]
        assert len(set(shown)) == len(shown)
    for tenant in config.tenants:
        assert not tenant.name.startswith("uid-")
        assert 0.01 <= tenant.weight <= 100
        for uid in tenant.uids:
            assert uid != 65534
            assert tenants.of_uid(uid).name == tenant.name
    try:
        tenants.of_uid(65534)
    except RefusedError:
        return
    raise AssertionError("whom the kernel cannot name is let in")


if __name__ == "__main__":
    main("config", target, TOKENS)
