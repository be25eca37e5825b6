"""Clients that others wrote: how each is started, and what it can do."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["CLIENTS", "INSTALLED", "Foreign", "Place", "compile_go", "why_no_go"]

BRIDGES = Path(__file__).parent / "bridges"
INSTALLED = Path(sys.prefix) / "foreign"  # by scripts/install --tests
GO_SOURCES = Path("/usr/share/gocode")  # of Debian's golang-*-dev packages


class Place(NamedTuple):
    """Where a daemon listens. By the socket, a client is its own user; with the token, "ci"."""

    socket: Path
    port: int  # of 127.0.0.1, in clear
    token: str


class Foreign(NamedTuple):
    """A client, and what it can do; `why_absent` gets the reason where it is not installed."""

    name: str
    command: Callable[[Place, Path], list[str]]
    why_absent: Callable[[], str | None]
    environment: Mapping[str, str] = {}
    is_tcp: bool = False  # with a token, as the tenant "ci"
    is_concurrent: bool = True  # several calls at once
    has_maps_for_errors: bool = True  # else text
    shows_pushed: bool = False

    def __str__(self) -> str:
        return self.name


def _python(script: str, directory: str, **more: Any) -> Foreign:
    packages = INSTALLED / directory

    def why_absent() -> str | None:
        if directory == "python-old" and sys.version_info >= (3, 12):
            return "it needs tornado 4, and that a Python before 3.12"
        return None if packages.is_dir() else f"no {packages}: run scripts/install --tests"

    return Foreign(
        script.removeprefix("use_").replace("_", "-"),
        lambda place, _: [sys.executable, str(BRIDGES / f"{script}.py"), *_where(place, more)],
        why_absent,
        {"PYTHONPATH": str(packages)},
        **more,
    )


def _node(package: str, **more: Any) -> Foreign:
    script = BRIDGES / f"use_{package.replace('-', '_')}.js"
    packages = INSTALLED / "node" / "node_modules"

    def why_absent() -> str | None:
        if shutil.which("node") is None:
            return "no node on this host"
        is_there = (packages / package).is_dir()
        return None if is_there else f"no {package} in {packages}: run scripts/install --tests"

    return Foreign(
        f"node-{package}",
        lambda place, _: ["node", str(script), *_where(place, more)],
        why_absent,
        {"NODE_PATH": str(packages)},
        **more,
    )


def _where(place: Place, more: Mapping[str, Any]) -> list[str]:
    return [str(place.port), place.token] if "is_tcp" in more else [str(place.socket)]


def compile_go(source: Path, directory: Path) -> Path:
    """Compile a program that uses the codec, once; it lies in `directory` then."""
    program = directory / source.stem
    if not program.exists():
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": str(GO_SOURCES),
            "GOCACHE": str(directory / "go-cache"),
        }
        # Without its generated fast paths, which take a minute to compile.
        subprocess.run(
            ["go", "build", "-tags", "notfastpath codec.notfastpath", "-o", program, source],
            check=True,
            env=environment,
        )
    return program


def _go(place: Place, directory: Path) -> list[str]:
    program = compile_go(BRIDGES / "use_ugorji_codec.go", directory)
    return [str(program), str(place.socket)]


def why_no_go() -> str | None:
    """What the host lacks for it."""
    if shutil.which("go") is None:
        return "no go on this host"
    is_there = (GO_SOURCES / "src/github.com/ugorji/go/codec").is_dir()
    return None if is_there else "no golang-github-ugorji-go-codec-dev on this host"


def _nvim(_place: Place, _directory: Path) -> list[str]:
    # It would take its stdin for a text to edit.
    script = f"luafile {BRIDGES / 'use_nvim.lua'}"
    return ["sh", "-c", f"exec 3<&0; exec nvim --headless --clean --cmd '{script}' </dev/null"]


CLIENTS = (
    _python("use_pynvim", "python", is_concurrent=False),
    _python("use_aio_msgpack_rpc", "python"),
    _python("use_msgpack_rpc_python", "python-old", is_tcp=True, is_concurrent=False),
    _node("neovim", shows_pushed=True),
    _node("msgpack5rpc", shows_pushed=True),
    _node("msgpack-rpc-lite", is_tcp=True),
    Foreign("go-ugorji-codec", _go, why_no_go, has_maps_for_errors=False),
    Foreign(
        "nvim",
        _nvim,
        lambda: None if shutil.which("nvim") else "no nvim on this host",
        is_concurrent=False,
        has_maps_for_errors=False,
    ),
)
