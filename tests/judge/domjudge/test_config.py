"""The configuration and the credentials: what is read, and whose mistakes are named how."""

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.judge.domjudge.config import load_config
from sandbox.judge.domjudge.credentials import Endpoint, read_credentials
from sandbox.spec.errors import SpecError

SECRET = "# of the contest\ndefault  https://judge.example/api/v4/\tjudgehost  s3cret\n"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "restapi.secret"
    path.write_text(SECRET)
    path.chmod(0o600)
    return path


def test_a_configuration_names_server_and_directory(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(
        'credentials = "restapi.secret"\nhostname = "judge-1"\ndirectory = "/var/lib/judge"\n'
        'cache_bytes = "2GiB"\nbatch = 5\n[languages]\npy = "pypy3"\n"c++" = "cpp"\n'
    )
    config = load_config(path)
    url = "https://judge.example/api/v4"
    assert config.endpoint == Endpoint("default", url, "judgehost", "s3cret")
    assert (config.hostname, config.directory) == ("judge-1", Path("/var/lib/judge"))
    assert (config.cache_bytes, config.batch) == (2 << 30, 5)
    assert config.languages == {"py": "pypy3", "c++": "cpp"}
    assert "s3cret" not in repr(config)


@pytest.mark.parametrize(("text", "field"), [
    ('directory = "d"', "credentials"),
    ('credentials = "restapi.secret"', "directory"),
    ('credentials = "restapi.secret"\ndirectory = "d"\nhost = "a"', "host"),
    ('credentials = "restapi.secret"\ndirectory = "d"\nhostname = "a/b"', "hostname"),
    ('credentials = "restapi.secret"\ndirectory = "d"\nbatch = 0', "batch"),
    ('credentials = "restapi.secret"\ndirectory = "d"\ncache_bytes = "1GB"', "cache_bytes"),
    ('credentials = "restapi.secret"\ndirectory = "d"\nendpoint = "other"', "credentials"),
    ('credentials = "nowhere"\ndirectory = "d"', "credentials"),
    ("credentials =", "config"),
])  # fmt: skip
def test_a_mistake_is_named_by_its_field(
    tmp_path: Path, secret: Path, text: str, field: str
) -> None:
    path = tmp_path / "worker.toml"
    path.write_text(text)
    with pytest.raises(SpecError) as refused:
        load_config(path)
    assert refused.value.field == field


def test_what_the_worker_needs_and_is_not_installed_is_told(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "worker.toml"
    path.write_text('credentials = "restapi.secret"\ndirectory = "d"\n')
    program = "import sys; sys.modules['httpx'] = None; from sandbox.cli.main import main; main()"
    words = ["judge", "worker", "--config", path]
    done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True)
    assert done.returncode == 125
    assert done.stderr == (
        "sandbox: worker: needs httpx; fix: pip install '.[domjudge]' in a checkout\n"
    )


@pytest.mark.parametrize(("mode", "fix"), [
    (0o604, "chmod o-r"), (0o620, "chmod go-w"), (0o602, "chmod go-w"),
])  # fmt: skip
def test_a_password_that_others_can_reach_is_not_used(secret: Path, mode: int, fix: str) -> None:
    secret.chmod(mode)
    with pytest.raises(SpecError, match=fix):
        read_credentials(secret, None, "credentials")


@pytest.mark.parametrize(("text", "problem"), [
    ("default https://judge.example judgehost", "3 words"),
    ("", "0 endpoints"),
    ("a https://a.example u p\nb https://b.example u p", "2 endpoints"),
    ("a https://a.example u p\na https://b.example u p", "twice"),
    ("a http://a.example u p", "use https"),
    ("a http://localhost.a.example u p", "use https"),
    ("a ftp://a.example u p", "no http or https"),
    ("a https:///api u p", "no http or https"),
    ("a https://a.example:port u p", "credentials"),
    ("a https://u:p@a.example u p", "no user"),
])  # fmt: skip
def test_credentials_that_are_none_are_refused_without_being_shown(
    secret: Path, text: str, problem: str
) -> None:
    secret.write_text(text.replace(" p", " s3cret"))
    with pytest.raises(SpecError, match=problem) as refused:
        read_credentials(secret, None, "credentials")
    assert "s3cret" not in str(refused.value)


def test_in_clear_is_for_loopback_only(secret: Path) -> None:
    secret.write_text("a http://127.0.0.1:8080/api/v4 u p\nb http://[::1]/api u p\n")
    assert read_credentials(secret, "a", "credentials").url == "http://127.0.0.1:8080/api/v4"
    assert read_credentials(secret, "b", "credentials").url == "http://[::1]/api"


@pytest.mark.parametrize("port", ["", ":8080"])
def test_where_localhost_leads_is_for_no_resolver_to_say(secret: Path, port: str) -> None:
    secret.write_text(f"a http://localhost{port}/domjudge/api u p\n")
    found = read_credentials(secret, "a", "credentials")
    assert found.url == f"http://127.0.0.1{port}/domjudge/api"
