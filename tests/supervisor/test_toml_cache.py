"""Kept documents: the same as parsed ones, and never one that somebody else could have written."""

from pathlib import Path
from typing import NoReturn

import pytest

from sandbox.spec.toml_file import parse_toml
from sandbox.supervisor import toml_cache

TEXT = b'a = 1\n[b]\nc = ["x", 1.5, true]\n'


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sandbox/filters"


def refuse(text: bytes) -> NoReturn:
    raise AssertionError("parsed again")


def test_a_document_is_parsed_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toml_cache.parse(TEXT) == parse_toml(TEXT)
    monkeypatch.setattr(toml_cache, "parse_toml", refuse)
    assert toml_cache.parse(TEXT) == parse_toml(TEXT)
    with pytest.raises(AssertionError, match="parsed again"):
        toml_cache.parse(TEXT + b"# other")


def test_a_document_that_others_could_have_written_is_parsed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml_cache.parse(TEXT)
    (kept,) = cache.iterdir()
    kept.chmod(0o666)
    monkeypatch.setattr(toml_cache, "parse_toml", refuse)
    with pytest.raises(AssertionError, match="parsed again"):
        toml_cache.parse(TEXT)


def test_a_changed_document_is_parsed(cache: Path) -> None:
    toml_cache.parse(TEXT)
    (kept,) = cache.iterdir()
    kept.write_bytes(kept.read_bytes().replace(b"x", b"y"))
    assert toml_cache.parse(TEXT) == parse_toml(TEXT)


@pytest.mark.parametrize("text", [b"a = ", b"\xff", b"a = 1" + b"1" * 5000])
def test_what_is_no_document_stays_the_same_error(cache: Path, text: bytes) -> None:
    for _ in range(2):
        with pytest.raises(ValueError):
            toml_cache.parse(text)
    assert not cache.exists()


def test_a_date_is_parsed_each_time(cache: Path) -> None:
    for _ in range(2):
        assert toml_cache.parse(b"day = 2000-01-01") == parse_toml(b"day = 2000-01-01")
    assert not cache.exists()
