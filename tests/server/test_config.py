"""serve.toml: what it may say, what every mistake is called, and who may have written it."""

import os
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.server.config import (
    Address,
    Budget,
    Config,
    Listen,
    State,
    config_from_mapping,
    load_config,
    read_address,
    require_safe,
)
from sandbox.server.tenant_config import CAPS, Caps, TenantConfig
from sandbox.spec.errors import SpecError

GIB = 1 << 30
HASH = "sha256:" + "ab" * 32
BASE = Path("/etc/sandbox")
TLS = {"tls_certificate": "server.pem", "tls_key": "server.key"}

WHOLE = f"""
drain_seconds = "2m"
allow_degraded = true

[listen]
socket = "/run/sandbox/sandbox.sock"
tcp = "[::]:7000"
tls_certificate = "server.pem"
tls_key = "keys/server.key"
tls_client_ca = "clients.pem"
metrics = "127.0.0.1:9100"
allow_users = ["root", 1001]

[state]
directory = "/var/lib/sandbox"
results_seconds = "48h"
results_bytes = "2GiB"
spool_bytes = "8GiB"
blob_seconds = 3600

[budget]
jobs = 64
memory = "32GiB"
cpus = 7.5
processes = 4096
disk = "100GiB"
own_cores = [2, 3]
most_queued = 500

[policies]
directory = "policies"

[log]
format = "json"

[tenants.judge]
weight = 3
most_priority = 10
jobs = 32
memory = "16GiB"
cpus = 4
processes = 1024
disk = "1GiB"
most_queued = 100
blob_bytes = "10GiB"
tokens = ["{HASH}"]
certificates = ["SHA256:{":".join(["AB"] * 32)}"]
users = [1002]

[tenants."ci.main"]
"""


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_every_key_gets_where_it_belongs(tmp_path: Path) -> None:
    config = load_config(write(tmp_path / "serve.toml", WHOLE))
    judge = TenantConfig(
        "judge", 3.0, 10, Caps(32, 16 * GIB, 4.0, 1024, GIB), 100, 10 * GIB,
        (b"\xab" * 32,), (b"\xab" * 32,), (1002,),
    )  # fmt: skip
    assert config == Config(
        Listen(
            Path("/run/sandbox/sandbox.sock"), Address("::", 7000), tmp_path / "server.pem",
            tmp_path / "keys/server.key", tmp_path / "clients.pem", False,
            Address("127.0.0.1", 9100), (0, 1001),
        ),
        State(Path("/var/lib/sandbox"), 48 * 3600.0, 2 * GIB, 8 * GIB, 3600.0),
        Budget(Caps(64, 32 * GIB, 7.5, 4096, 100 * GIB), (2, 3), 500),
        tmp_path / "policies", "json", 120.0, True, (judge, TenantConfig("ci.main")),
    )  # fmt: skip


def test_an_empty_file_is_all_defaults() -> None:
    assert config_from_mapping({}, BASE) == Config()


def tenant(**keys: Any) -> dict[str, Any]:
    return {"tenants": {"judge": keys}}


TOKENS = tenant(tokens=[HASH])
MISTAKES: list[tuple[str, dict[str, Any], str]] = [
    ("lisen", {"lisen": {}}, "did you mean listen"),
    ("listen", {"listen": []}, "no table"),
    ("listen.sockt", {"listen": {"sockt": "x"}}, "did you mean socket"),
    ("listen.socket", {"listen": {"socket": ""}}, "empty"),
    ("listen.socket", {"listen": {"socket": "a\0b"}}, "NUL"),
    ("listen.tcp", {"listen": {"tcp": "7000"}}, "no HOST:PORT"),
    ("listen.metrics", {"listen": {"metrics": 9100}}, "no text"),
    ("listen.clear", {"listen": {"clear": 1}}, "neither true nor false"),
    ("listen.clear", {"listen": {"clear": True, **TLS}}, "contradicts"),
    ("listen.tls_key", {"listen": {"tls_certificate": "x"}}, "name both"),
    ("listen.tls_key", {"listen": {"tls_key": "x"}}, "name both"),
    ("listen.tls_client_ca", {"listen": {"tls_client_ca": "x"}}, "needs tls_certificate"),
    ("listen.tcp", TOKENS | {"listen": {"tcp": "127.0.0.1:1"}}, "needs tls_certificate"),
    ("listen.tcp", TOKENS | {"listen": {"tcp": "0.0.0.0:1", "clear": True}}, "without TLS"),
    ("listen.tcp", {"listen": {"tcp": "127.0.0.1:1", "clear": True}}, "would let nobody in"),
    ("listen.tcp", {"listen": {"tcp": "0.0.0.0:1", **TLS}}, "would let nobody in"),
    ("listen.tcp", tenant(certificates=[HASH])
     | {"listen": {"tcp": "127.0.0.1:1", "clear": True}}, "would let nobody in"),
    ("listen.tls_client_ca", tenant(certificates=[HASH], tokens=[HASH])
     | {"listen": {"tcp": "0.0.0.0:1", **TLS}}, "is missing"),
    ("listen.allow_users", {"listen": {"allow_users": "root"}}, "no array"),
    ("listen.allow_users[0]", {"listen": {"allow_users": ["no such user"]}}, "there is no user"),
    ("listen.allow_users[1]", {"listen": {"allow_users": [0, 65534]}}, "everybody"),
    ("listen.allow_users[0]", {"listen": {"allow_users": ["65534"]}}, "everybody"),
    ("listen.allow_users[0]", {"listen": {"allow_users": [-1]}}, "out of range"),
    ("listen.allow_users[0]", {"listen": {"allow_users": [(1 << 32) - 1]}}, "out of range"),
    ("listen.allow_users[0]", {"listen": {"allow_users": [True]}}, "no whole number"),
    ("listen.allow_users[0]", {"listen": {"allow_users": ["a\0"]}}, "NUL"),
    ("state.directry", {"state": {"directry": "x"}}, "did you mean directory"),
    ("state.results_seconds", {"state": {"results_seconds": -1}}, "out of range"),
    ("state.results_seconds", {"state": {"results_seconds": float("nan")}}, "no time"),
    ("state.results_bytes", {"state": {"results_bytes": "1GB"}}, "write 1GiB"),
    ("state.spool_bytes", {"state": {"spool_bytes": 1.5}}, "no size"),
    ("state.blob_seconds", {"state": {"blob_seconds": "1 day"}}, "no time"),
    ("budget.job", {"budget": {"job": 1}}, "did you mean jobs"),
    ("budget.jobs", {"budget": {"jobs": 0}}, "out of range"),
    ("budget.memory", {"budget": {"memory": "1KiB"}}, "out of range"),
    ("budget.cpus", {"budget": {"cpus": "many"}}, "number of CPUs"),
    ("budget.most_queued", {"budget": {"most_queued": -1}}, "out of range"),
    ("budget.own_cores", {"budget": {"own_cores": 2}}, "no array"),
    ("budget.own_cores[1]", {"budget": {"own_cores": [2, -2]}}, "out of range"),
    ("budget.own_cores[2]", {"budget": {"own_cores": [2, 3, 2]}}, "named twice"),
    ("policies.dir", {"policies": {"dir": "x"}}, "no such key"),
    ("policies.directory", {"policies": {"directory": 1}}, "no text"),
    ("log.format", {"log": {"format": "jsn"}}, "did you mean json"),
    ("allow_degraded", {"allow_degraded": "yes"}, "neither true nor false"),
    ("drain_seconds", {"drain_seconds": "soon"}, "no time"),
    ("tenants", {"tenants": 1}, "no table"),
    ("tenants.judge", {"tenants": {"judge": 1}}, "no table"),
    ("tenants.Judge", {"tenants": {"Judge": {}}}, "no name"),
    ("tenants.uid-1001", {"tenants": {"uid-1001": {}}}, "no name"),
    ('tenants."../x"', {"tenants": {"../x": {}}}, "no name"),
    ('tenants."a\\n"', {"tenants": {"a\n": {}}}, "no name"),
    ("tenants.judge.wieght", tenant(wieght=1), "did you mean weight"),
    ("tenants.judge.weight", tenant(weight=0), "no weight"),
    ("tenants.judge.weight", tenant(weight=float("nan")), "no weight"),
    ("tenants.judge.weight", tenant(weight=True), "no weight"),
    ("tenants.judge.most_priority", tenant(most_priority=101), "no priority"),
    ("tenants.judge.memory", tenant(memory="1GB"), "write 1GiB"),
    ("tenants.judge.most_queued", tenant(most_queued=1.5), "no whole number"),
    ("tenants.judge.blob_bytes", tenant(blob_bytes=-1), "out of range"),
    ("tenants.judge.tokens", tenant(tokens=HASH), "no array"),
    ("tenants.judge.tokens[0]", tenant(tokens=[1]), "no text"),
    ("tenants.judge.tokens[1]", tenant(tokens=["sha256:" + "1" * 64, HASH + "0"]), "no hash"),
    ("tenants.judge.tokens[0]", tenant(tokens=["ab" * 32]), "no hash"),
    ("tenants.judge.tokens[1]", tenant(tokens=[HASH, HASH.upper()]), "no hash|already"),
    ("tenants.judge.certificates[0]", tenant(certificates=["sha1:" + "ab" * 20]), "no hash"),
    ("tenants.judge.users[0]", tenant(users=["nobody-like-that"]), "there is no user"),
    ("tenants.b.users[0]", {"tenants": {"a": {"users": [0]}, "b": {"users": ["root"]}}},
     r"is tenants\.a\.users\[0\] already"),
    ("tenants.b.tokens[0]", {"tenants": {"a": {"tokens": [HASH]}, "b": {"tokens": [HASH]}}},
     r"is tenants\.a\.tokens\[0\] already"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "document", "problem"), MISTAKES)
def test_a_mistake_is_told_by_its_field(field: str, document: Any, problem: str) -> None:
    with pytest.raises(SpecError, match=problem) as caught:
        config_from_mapping(document, BASE)
    assert caught.value.field == field


SCALARS = st.none() | st.booleans() | st.floats() | st.dates() | st.text(max_size=20)
SCALARS |= st.integers() | st.integers(-(10**400), 10**400)
SCALARS |= st.sampled_from(
    ["\udcff", "\ud800", "\0", HASH, "1MiB", "127.0.0.1:0", "root", "json", "2s"]
)
VALUES = SCALARS | st.lists(SCALARS, max_size=3)
NAMED = {
    "listen": ["socket", "tcp", "tls_certificate", "clear", "metrics", "allow_users"],
    "state": list(State._fields),
    "budget": ["jobs", "memory", "cpus", "processes", "disk", "own_cores", "most_queued"],
    "policies": ["directory"],
    "log": ["format"],
}
TENANT = ["weight", "most_priority", "memory", "most_queued", "blob_bytes", "tokens", "users"]


def tables(keys: list[str]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(keys) | st.text(max_size=5), VALUES, max_size=3) | VALUES


DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={name: tables(keys) for name, keys in NAMED.items()}
    | {
        "drain_seconds": VALUES,
        "tenants": st.dictionaries(st.text("ab-.", max_size=3), tables(TENANT), max_size=2),
    },
)


@settings(max_examples=300, deadline=None, database=None)
@given(DOCUMENTS)
def test_any_document_is_a_configuration_or_our_error(document: Any) -> None:
    try:
        config = config_from_mapping(document, BASE)
    except SpecError as error:
        assert error.field and str(error).isprintable()
    else:
        require_safe(config)


def test_a_token_that_stands_where_its_hash_belongs_is_not_repeated() -> None:
    with pytest.raises(SpecError) as caught:
        config_from_mapping(tenant(tokens=["sandbox_secret"]), BASE)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "[::1]"])
def test_clear_tcp_is_for_loopback(host: str) -> None:
    config = config_from_mapping(TOKENS | {"listen": {"tcp": f"{host}:0", "clear": True}}, BASE)
    assert config.listen.is_clear


@pytest.mark.parametrize("host", ["10.0.0.1", "[::]", "localhost", "127.1", "[::ffff:10.0.0.1]",
                                  "127.0.0.1.example.org"])  # fmt: skip
def test_clear_tcp_is_for_nothing_else(host: str) -> None:
    with pytest.raises(SpecError, match="without TLS"):
        config_from_mapping(TOKENS | {"listen": {"tcp": f"{host}:0", "clear": True}}, BASE)


def test_a_config_that_an_option_changed_is_looked_at_again() -> None:
    config = config_from_mapping(TOKENS, BASE)
    require_safe(config)
    with pytest.raises(SpecError, match="needs tls_certificate"):
        require_safe(config._replace(listen=Listen(tcp=Address("0.0.0.0", 1))))


@pytest.mark.parametrize(
    ("text", "address"),
    [("localhost:80", Address("localhost", 80)), ("[::1]:0", Address("::1", 0)),
     ("0.0.0.0:65535", Address("0.0.0.0", 65535))],
)  # fmt: skip
def test_an_address_is_read(text: str, address: Address) -> None:
    assert read_address(text, "tcp") == address


NO_ADDRESSES = [
    "", ":", ":80", "host", "host:", "host:x", "host:65536", "::1:80", "[::1]", "[::1:80",
    "[host]:80", "host:-1", "host: 80",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        read_address(text, "tcp")
    assert caught.value.field == "tcp"


@pytest.mark.parametrize(
    ("mode", "problem"), [(0o664, "chmod go-w"), (0o646, "chmod go-w"), (0o666, "chmod go-w")]
)
def test_a_file_that_others_can_write_is_not_read(tmp_path: Path, mode: int, problem: str) -> None:
    path = write(tmp_path / "serve.toml", "")
    load_config(path)
    path.chmod(mode)
    with pytest.raises(SpecError, match=problem) as caught:
        load_config(path)
    assert caught.value.field == "config"


def test_a_file_of_another_user_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "serve.toml", "")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SpecError, match="must be ours or root's"):
        load_config(path)


def test_what_is_no_configuration_file_is_told_as_such(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo", 0o600)
    (tmp_path / "directory").mkdir()
    (tmp_path / "large").write_bytes(b"#" * ((1 << 20) + 1))
    (tmp_path / "bytes").write_bytes(b"\xff")
    (tmp_path / "deep").write_text("a=" + "[" * 100_000)
    (tmp_path / "broken").write_text("a =")
    for path in tmp_path.iterdir():
        if path.is_file():
            path.chmod(0o600)
    for name in ("fifo", "directory", "large", "bytes", "deep", "broken", "absent", "a\0b"):
        with pytest.raises(SpecError) as caught:
            load_config(tmp_path / name)
        assert caught.value.field == "config"
        assert name in str(caught.value)


EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "serve.toml"


def test_the_example_says_what_goes_without_it() -> None:
    judge = TenantConfig("judge")
    assert load_config(EXAMPLE) == Config()._replace(tenants=(judge,))


def test_the_example_has_every_key() -> None:
    text = "\n".join(line.removeprefix("# ") for line in EXAMPLE.read_text().splitlines()[3:])
    document = tomllib.loads(text)
    keys = {key: set(value) for key, value in document.items() if isinstance(value, dict)}
    assert keys["listen"] == {
        "socket", "tcp", "tls_certificate", "tls_key", "tls_client_ca", "clear", "metrics",
        "allow_users",
    }  # fmt: skip
    assert keys["state"] == set(State._fields)
    assert keys["budget"] == {*CAPS, "own_cores", "most_queued"}
    assert set(document["tenants"]["judge"]) == {
        *CAPS, "weight", "most_priority", "most_queued", "blob_bytes", "tokens", "certificates",
        "users",
    }  # fmt: skip
