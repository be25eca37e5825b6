"""What is kept from one run to the next: a file that is not what was stored is no file.

An input is decisions: what was stored under which key, and what became of the file since.
"""

import os
import tempfile
from pathlib import Path

from fuzz.choices import Choices
from fuzz.driver import main
from fuzz.fds import all_closed
from sandbox.spec.toml_file import parse_toml
from sandbox.supervisor import filter_cache, toml_cache

__all__ = ["TOKENS", "target"]

_DOCUMENT = b'a = 1\nb = ["x", 2.5]\n'
_OTHER = b"a = 2\n"
_MOST_BYTES = 32 + 4096 * 8
TOKENS = (b"\xe3", b"c\x00", b"(\xff\xff\xff\x7f", b"[\xff\xff\xff\x7f", _DOCUMENT, _OTHER)


def target(data: bytes) -> None:
    """A kept filter is the one that was stored, or none; a kept document is what the text says."""
    choices = Choices(data)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as home:
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = home
        try:
            with all_closed():
                _try_filters(choices, Path(home) / "sandbox" / "filters")
                _try_documents(choices, Path(home) / "sandbox" / "filters")
        finally:
            if before is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = before


def _try_filters(choices: Choices, directory: Path) -> None:
    stored = {}
    for name in (b"one", b"other"):
        key = filter_cache.digest(name)
        stored[key] = choices.data() * choices.one_of([1, 1, 200])
        filter_cache.store(key, stored[key])
    one, other = stored
    is_same = _change(choices, directory / one.hex(), directory / other.hex())
    found = filter_cache.load(one)
    assert found in (None, stored[one])
    # No store is missed: what is too large for a filter was not stored.
    assert found is not None or not is_same or len(stored[one]) > _MOST_BYTES - 32
    assert filter_cache.load(other) in (None, stored[other])
    filter_cache.store(one, stored[one])


def _try_documents(choices: Choices, directory: Path) -> None:
    assert toml_cache.parse(_OTHER) == parse_toml(_OTHER)
    known = set(directory.iterdir())
    text = choices.one_of([_DOCUMENT, _DOCUMENT + b"t = 1979-05-27\n", choices.data()])
    expected = _parsed(text, parse_toml)
    assert _parsed(text, toml_cache.parse) == expected
    for path in set(directory.iterdir()) - known:
        _change(choices, path, min(known))
    assert _parsed(text, toml_cache.parse) == expected


def _parsed(text: bytes, parse: object) -> str:
    try:
        return repr(parse(text))  # type: ignore[operator]  # repr: nan is not equal to itself
    except (ValueError, RecursionError) as error:
        return str(error)


def _change(choices: Choices, path: Path, other: Path) -> bool:
    """Do something to a kept file; whether it is still the same."""
    if not path.exists():
        return False
    content = path.read_bytes()
    match choices.below(9):
        case 0:
            return True
        case 1:  # one bit of it
            at = choices.below(len(content))
            changed = bytearray(content)
            changed[at] ^= 1 << choices.below(8)
            path.write_bytes(changed)
        case 2:
            path.write_bytes(content[: choices.below(len(content))])
        case 3:
            path.write_bytes(content + bytes(1 + choices.below(3)))
        case 4:
            path.write_bytes(choices.rest())
        case 5:  # what was stored under another key
            path.write_bytes(other.read_bytes() if other.exists() else b"")
        case 6:
            path.chmod(0o666)
        case 7:
            path.unlink()
            path.symlink_to(other)
        case _:
            path.unlink()
            os.mkfifo(path)
    return (
        path.is_file()
        and not path.is_symlink()
        and path.read_bytes() == content
        and (path.stat().st_mode & 0o777 == 0o600)
    )


if __name__ == "__main__":
    main("caches", target, TOKENS)
