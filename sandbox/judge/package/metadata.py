"""problem.yaml: what it says of limits, kinds and validation, in each of the formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from sandbox.judge.package.document import parse_document, written
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import PackageFiles, read_text
from sandbox.judge.package.limits import read_limits
from sandbox.judge.problem import ProblemLimits
from sandbox.spec.fields import shown, suggestion

__all__ = ["DRAFT", "LEGACY", "STABLE", "Metadata", "read_metadata"]

LEGACY, DRAFT, STABLE = "legacy", "2023-07-draft", "2025-09"
_FILE = "problem.yaml"
_FORMATS = {
    "legacy": LEGACY, "legacy-icpc": LEGACY, "2023-07-draft": DRAFT, "2023-07": DRAFT,
    "2025-09": STABLE, "2025-09-draft": STABLE,
}  # fmt: skip
_TYPES = ("pass-fail", "scoring", "multi-pass", "interactive", "submit-answer")
_OPPOSITES = (
    ("pass-fail", "scoring"), ("submit-answer", "multi-pass"), ("submit-answer", "interactive"),
)  # fmt: skip
_VALIDATION = ("interactive", "score", "multi-pass")  # the last one is DOMjudge's
_LICENSES = (
    "unknown", "public domain", "cc0", "cc by", "cc by-sa", "educational", "permission",
)  # fmt: skip
_COMMON_KEYS = (
    "problem_format_version", "type", "name", "uuid", "source", "license", "rights_owner", "limits",
    "keywords", "languages",
)  # fmt: skip
_LEGACY_KEYS = (
    *_COMMON_KEYS, "author", "source_url", "validation", "validator_flags", "grading",
)  # fmt: skip
_KEYS = (*_COMMON_KEYS, "version", "credits", "embargo_until", "allow_file_writing", "constants")
_CREDITS_OF_LEGACY = ("author", "source_url")  # the new format's own examples still have them
_SAYS_NOW = {
    "validation": "a directory output_validator/ says it, and type: interactive or multi-pass",
    "validator_flags": "output_validator_args in data/secret/test_group.yaml says it",
    "grading": "data/secret/test_group.yaml says it",
}
_CONSTANT = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


class Metadata(NamedTuple):
    """What problem.yaml says, and its format's defaults."""

    format: str
    name: str | None
    types: frozenset[str]
    limits: ProblemLimits
    has_custom_validator: bool | None  # None: it has if there is one
    validator_flags: tuple[str, ...]
    validator_sees_score: bool
    languages: frozenset[str] | None
    constants: Mapping[str, str]
    may_write_files: bool
    grading: Fields  # of legacy: what came before testdata.yaml
    is_domjudges: bool = False  # points, and what submissions come to, are as DOMjudge has them

    @property
    def is_legacy(self) -> bool:
        """Whether what is odd is told, rather than refused."""
        return self.format == LEGACY

    @property
    def is_scoring(self) -> bool:
        """Whether submissions get points."""
        return "scoring" in self.types

    @property
    def is_maximal(self) -> bool:
        """Whether more points are better."""
        return self.grading.raw("objective") != "min"


def read_metadata(package: PackageFiles) -> Metadata:
    """problem.yaml of `package`, or the defaults where it has none. Raises PackageError."""
    path = package.file(_FILE)
    table = parse_document(read_text(path, _FILE), _FILE) if path else None
    version = Fields(_FILE, table).text("problem_format_version") or LEGACY
    if version not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise PackageError(
            _FILE, f"problem_format_version: {shown(version)} is not known; known are {known}"
        )
    if _FORMATS[version] == LEGACY:
        return _read_legacy(Fields(_FILE, table, _LEGACY_KEYS, notes=package.notes), package.notes)
    table = dict(table)
    for key in _CREDITS_OF_LEGACY:
        if table.pop(key, None) is not None:
            package.notes.append(f"{_FILE}: {key}: is a key of the legacy format; it is ignored")
    for key, instead in _SAYS_NOW.items():
        if key in table:
            raise PackageError(_FILE, f"{key}: is a key of the legacy format; now {instead}")
    return _read_new(Fields(_FILE, table, _KEYS), _FORMATS[version], package.notes)


def _read_legacy(fields: Fields, notes: list[str]) -> Metadata:
    types = _types(fields)
    validation = fields.words("validation") or ("default",)
    if validation[0] not in ("default", "custom"):
        raise fields.error("validation", f"{shown(validation[0])} is neither default nor custom")
    for word in validation[1:]:
        if validation[0] == "default" or word not in _VALIDATION:
            near = suggestion(word, _VALIDATION)
            raise fields.error("validation", f"{shown(word)} cannot follow {validation[0]}{near}")
    types |= {*validation[1:]} & {"interactive", "multi-pass"}
    if "score" in validation and "scoring" not in types:
        raise fields.error("validation", "score is for problems of type scoring only")
    grading = fields.fields("grading")
    grading.choice("objective", ("max", "min"), "max")
    if "grading" in fields and "scoring" not in types:
        notes.append(f"{_FILE}: grading: is for problems of type scoring only; it is ignored")
        grading = Fields(_FILE, None)
    _check_credits(fields, notes)
    return Metadata(
        LEGACY, _name(fields), types, read_limits(fields, LEGACY, types, notes),
        validation[0] == "custom", fields.words("validator_flags"), "score" in validation,
        _languages(fields), {}, True, grading,
    )  # fmt: skip


def _read_new(fields: Fields, version: str, notes: list[str]) -> Metadata:
    types = _types(fields)
    _check_credits(fields, notes)
    for key in ("name", "uuid"):
        if key not in fields:
            notes.append(f"{_FILE}: {key}: is missing; the format asks for it")
    return Metadata(
        version, _name(fields), types, read_limits(fields, version, types, notes), None, (),
        "scoring" in types, _languages(fields), _constants(fields.fields("constants")),
        fields.flag("allow_file_writing", False), Fields(_FILE, None),
    )  # fmt: skip


def _types(fields: Fields) -> frozenset[str]:
    words = fields.words("type") or ("pass-fail",)
    for word in words:
        if word not in _TYPES:
            known = ", ".join(_TYPES)
            raise fields.error(
                "type", f"{shown(word)} is not one of {known}{suggestion(word, _TYPES)}"
            )
    if len(set(words)) < len(words):
        raise fields.error("type", "says the same twice")
    for one, other in _OPPOSITES:
        if one in words and other in words:
            raise fields.error("type", f"{one} and {other} exclude each other")
    return frozenset(words)


def _name(fields: Fields) -> str | None:
    """In English if it is given in several languages, or else the first of them."""
    value = fields.raw("name")
    if not isinstance(value, Mapping) or not value:
        return fields.text("name")
    # Not by Fields: YAML 1.1 takes the Norwegian "no" for false.
    name = written(value.get("en", next(iter(value.values()))))
    if name is None:
        raise fields.error("name", "holds what is no text; put it in quotes")
    return name


def _languages(fields: Fields) -> frozenset[str] | None:
    words = fields.words("languages")
    return None if not words or words == ("all",) else frozenset(words)


def _constants(fields: Fields) -> dict[str, str]:
    constants = {}
    for key in fields:
        if not _CONSTANT.fullmatch(key):
            raise fields.error(key, "a constant's name is letters, digits and _, no digit first")
        if not isinstance(fields.raw(key), Mapping):
            constants[key] = constants[f"{key}.value"] = _constant(fields, key)
            continue
        variants = fields.fields(key)
        if "value" not in variants:
            raise variants.error("value", "is missing")
        for variant in variants:
            constants[f"{key}.{variant}"] = _constant(variants, variant)
        constants[key] = constants[f"{key}.value"]
    return constants


def _constant(fields: Fields, key: str) -> str:
    text = fields.text(key)
    if text is None:
        raise fields.error(key, "has no value")
    return text


def _check_credits(fields: Fields, notes: list[str]) -> None:
    """What has no bearing on verdicts is looked at, and never a reason not to judge."""
    license_: Any = fields.raw("license")
    if license_ is not None and license_ not in _LICENSES:
        near = suggestion(license_, _LICENSES)
        notes.append(f"{_FILE}: license: {shown(license_)} is none that the format knows{near}")
    for key in ("uuid", "author", "source_url", "rights_owner", "version"):
        if key in fields and written(fields.raw(key)) is None:
            notes.append(f"{_FILE}: {key}: {shown(fields.raw(key))} is no text")
