"""A language as a file in languages/ has it: how its programs are known, compiled and run."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from sandbox.spec.errors import SpecError
from sandbox.spec.fields import (
    dotted,
    read_array,
    read_bytes,
    read_choice,
    read_flag,
    read_table,
    read_text,
    shown,
)
from sandbox.spec.limits import limits_from_mapping
from sandbox.spec.quantities import MIB, TIB, parse_size
from sandbox.spec.toml_file import read_toml

__all__ = ["Compiling", "Language", "Running", "fill_in", "language_from_mapping", "read_languages"]

ENTRIES = ("none", "file", "class")
_KEYS = (
    "name", "extensions", "sources", "shebangs", "codes", "kin", "content", "tools", "version",
    "entry", "time_multiplier", "memory_overhead", "out_of_memory", "compile", "run",
)  # fmt: skip
_COMPILE_KEYS = ("policy", "command", "environment", "limits", "output", "is_archive", "host_files")
_RUN_KEYS = ("policy", "command", "environment", "limits", "host_files", "loads_from_cwd")
_PLACEHOLDER = re.compile(r"\{([a-z][a-z0-9_]*)\}")
_COMPILE_PLACEHOLDERS = frozenset({"sources", "entry", "output"})
_RUN_PLACEHOLDERS = frozenset({"directory", "entry", "stem", "memory_mib", "stack_kib"})
_CODE = re.compile(r"[a-z][a-z0-9]*")
_EXTENSION = re.compile(r"\.[A-Za-z0-9+]+")
_ABSOLUTE = re.compile(r"(/[^/]+)+")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Compiling(NamedTuple):
    """The job that compiles, or that looks for errors of syntax where nothing is compiled."""

    command: tuple[str, ...]  # {sources}, {entry}, {output}, {a tool}
    policy: str = "compile"
    environment: Mapping[bytes, bytes] = MappingProxyType({})
    limits: Mapping[str, Any] = MappingProxyType({})
    output: str | None = None  # the one file that is made; None: the sources are the program
    is_archive: bool = False  # `output` is a tar archive of the files that are the program
    host_files: tuple[Path, ...] = ()  # settings of the compiler that the policy does not show


class Running(NamedTuple):
    """The job that runs a program."""

    command: tuple[str, ...]  # {directory}, {entry}, {stem}, {memory_mib}, {stack_kib}, {a tool}
    policy: str
    environment: Mapping[bytes, bytes] = MappingProxyType({})
    limits: Mapping[str, Any] = MappingProxyType({})
    host_files: tuple[Path, ...] = ()  # settings of the runtime that the policy does not show
    loads_from_cwd: bool = False  # modules: from where it is started, before its own


class Language(NamedTuple):
    """One language. Sizes in bytes; extensions begin with their dot."""

    code: str  # the file's name: what packages, options and reports call it
    name: str  # for people
    run: Running
    compile: Compiling | None = None
    extensions: tuple[str, ...] = ()  # of files that tell the language
    sources: tuple[str, ...] = ()  # of files that are its source, once the language is known
    shebangs: tuple[str, ...] = ()  # interpreters, as globs
    codes: frozenset[str] = frozenset()  # others by which it is asked for
    kin: tuple[str, ...] = ()  # codes under which packages keep what it can use too
    content: re.Pattern[bytes] | None = None  # tells it from others of the same extension
    tools: Mapping[str, tuple[str, ...]] = MappingProxyType({})  # placeholder -> programs
    version: tuple[str, ...] = ()
    entry: str = "none"  # or "file", "class": what is started, where a program has several
    time_multiplier: float = 1.0
    memory_overhead_bytes: int = 0  # of the runtime's own, over the problem's limit
    out_of_memory: tuple[str, ...] = ()  # what the runtime writes to stderr when it has no more
    digest: bytes = b""  # of the file


def read_languages(directory: Path) -> dict[str, Language]:
    """The languages of a directory's .toml files, by code, in order.

    Raises SpecError naming the file and the field, and where two languages claim one code.
    """
    languages: dict[str, Language] = {}
    owners: dict[str, str] = {}
    for path in sorted(directory.glob("*.toml")):
        mapping = read_toml(path, "language")
        try:
            language = language_from_mapping(path.stem, mapping)
            for code in (language.code, *sorted(language.codes)):
                if (owner := owners.setdefault(code, language.code)) != language.code:
                    raise SpecError("codes", f"{shown(code)} is {owner}'s too")
        except SpecError as error:
            raise SpecError(f"{path}: {error.field}", error.problem) from error
        digest = sha256(path.read_bytes()).digest()
        languages[language.code] = language._replace(digest=digest)
    return languages


def language_from_mapping(code: str, mapping: Any) -> Language:
    """The language of a parsed file. Raises SpecError naming the field."""
    if not _CODE.fullmatch(code):
        raise SpecError("code", f"{shown(code)} is none: a lower-case letter, then letters, digits")
    table = read_table(mapping, "", _KEYS)
    tools = {
        name: _texts(table["tools"], name, "tools")
        for name in read_table(table.get("tools", {}), "tools")
    }
    extensions = _texts(table, "extensions", like=_EXTENSION)
    compiling = _compiling(table, tools) if "compile" in table else None
    if "run" not in table:
        raise SpecError("run", "is missing")
    return Language(
        code=code,
        name=read_text(table.get("name"), "name"),
        run=_running(table, tools),
        compile=compiling,
        extensions=extensions,
        sources=(*extensions, *_texts(table, "sources", like=_EXTENSION)),
        shebangs=_texts(table, "shebangs"),
        codes=frozenset(_texts(table, "codes")),
        kin=_texts(table, "kin"),
        content=_content(table),
        tools=tools,
        version=_command(table, "version", "", frozenset(tools)) if "version" in table else (),
        entry=read_choice(table.get("entry", "none"), "entry", ENTRIES),
        time_multiplier=_multiplier(table.get("time_multiplier", 1.0)),
        memory_overhead_bytes=_overhead(table),
        out_of_memory=_texts(table, "out_of_memory"),
    )


def _compiling(table: Mapping[str, Any], tools: Mapping[str, Any]) -> Compiling:
    inner = read_table(table["compile"], "compile", _COMPILE_KEYS)
    output = None
    if "output" in inner:
        output = read_text(inner["output"], "compile.output")
        if not _FILE_NAME.fullmatch(output):
            raise SpecError("compile.output", f"{shown(output)} is no plain name of a file")
    is_archive = read_flag(inner.get("is_archive", False), "compile.is_archive")
    if is_archive and output is None:
        raise SpecError("compile.is_archive", "has no meaning without compile.output")
    command = _command(inner, "command", "compile", _COMPILE_PLACEHOLDERS | set(tools))
    if "{sources}" in "".join(word for word in command if word != "{sources}"):
        raise SpecError("compile.command", "{sources} is several words; let it stand alone")
    return Compiling(
        command,
        read_text(inner.get("policy", "compile"), "compile.policy"),
        _environment(inner, "compile"),
        limits_from_mapping(inner.get("limits", {}), "compile.limits"),
        output,
        is_archive,
        _host_files(inner, "compile"),
    )


def _running(table: Mapping[str, Any], tools: Mapping[str, Any]) -> Running:
    inner = read_table(table["run"], "run", _RUN_KEYS)
    return Running(
        _command(inner, "command", "run", _RUN_PLACEHOLDERS | set(tools)),
        read_text(inner.get("policy"), "run.policy"),
        _environment(inner, "run"),
        limits_from_mapping(inner.get("limits", {}), "run.limits"),
        _host_files(inner, "run"),
        read_flag(inner.get("loads_from_cwd", False), "run.loads_from_cwd"),
    )


def _command(
    table: Mapping[str, Any], key: str, inside: str, known: frozenset[str]
) -> tuple[str, ...]:
    words = _texts(table, key, inside)
    field = dotted(inside, key)
    if not words:
        raise SpecError(field, "is empty")
    for word in words:
        for name in _PLACEHOLDER.findall(word):
            if name not in known:
                names = ", ".join(sorted(known))
                raise SpecError(field, f"{{{name}}} stands for nothing here; there are {names}")
    return words


def fill_in(word: str, value: Callable[[str], str]) -> str:
    """`word` with each placeholder replaced by what `value` says of its name."""
    return _PLACEHOLDER.sub(lambda match: value(match[1]), word)


def _texts(
    table: Mapping[str, Any], key: str, inside: str = "", like: re.Pattern[str] | None = None
) -> tuple[str, ...]:
    field = dotted(inside, key)
    texts = []
    for number, item in enumerate(read_array(table.get(key, []), field)):
        text = read_text(item, f"{field}[{number}]")
        if like is not None and not like.fullmatch(text):
            raise SpecError(f"{field}[{number}]", f"{shown(text)} does not match {like.pattern}")
        texts.append(text)
    return tuple(texts)


def _environment(table: Mapping[str, Any], inside: str) -> Mapping[bytes, bytes]:
    field = f"{inside}.environment"
    return {
        read_bytes(key, dotted(field, key)): read_bytes(value, dotted(field, key))
        for key, value in read_table(table.get("environment", {}), field).items()
    }


def _host_files(table: Mapping[str, Any], inside: str) -> tuple[Path, ...]:
    return tuple(map(Path, _texts(table, "host_files", inside, like=_ABSOLUTE)))


def _content(table: Mapping[str, Any]) -> re.Pattern[bytes] | None:
    if "content" not in table:
        return None
    try:
        return re.compile(read_text(table["content"], "content").encode(), re.MULTILINE)
    except re.error as error:
        raise SpecError("content", f"is no regular expression: {error}") from error


def _multiplier(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0.01 <= value <= 100):
        raise SpecError("time_multiplier", f"{shown(value)} is no number from 0.01 to 100")
    return float(value)


def _overhead(table: Mapping[str, Any]) -> int:
    if "memory_overhead" not in table:
        return 0
    return parse_size(table["memory_overhead"], "memory_overhead", least=MIB, most=TIB)
