"""What a program loads that asks a server: nothing that it does not use."""

import subprocess
import sys
from pathlib import Path

import pytest

import sandbox

ROOT = Path(__file__).resolve().parents[2]
DEAR = {
    "asyncio", "contextlib", "dataclasses", "difflib", "enum", "hashlib", "pathlib", "re",
    "selectors", "socket", "ssl", "threading", "tomllib", "trio", "typing", "sandbox.spec.job",
    "sandbox.supervisor",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{code}\nprint(*sys.modules)"
    command = [sys.executable, "-I", "-c", code]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_the_blocking_client_loads_little() -> None:
    assert loaded("from sandbox import Client; Client('unix:/s.sock')") & DEAR == set()


def test_the_package_loads_nothing_at_all() -> None:
    assert loaded("import sandbox") - loaded("") == {"sandbox"}


@pytest.mark.parametrize("name", sandbox.__all__)
def test_every_name_of_the_package_is_there(name: str) -> None:
    assert getattr(sandbox, name).__name__ == name
    assert name in dir(sandbox)


def test_another_name_is_not() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Judge'"):
        _ = sandbox.Judge
