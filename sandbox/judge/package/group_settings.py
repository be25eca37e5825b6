"""What test_group.yaml says of one group, in the words of the format or of its drafts."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import NamedTuple

from sandbox.judge.constants import with_constants
from sandbox.judge.package.cases import GROUP_FILES, ValidatorFlags, validator_flags
from sandbox.judge.package.document import parse_document
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import Folder, read_text
from sandbox.judge.package.metadata import DRAFT, Metadata

__all__ = [
    "ARGUMENTS", "IGNORED", "SCORING", "STATIC_SCORE", "GroupSettings", "check_ignored",
    "read_settings",
]  # fmt: skip

_MOST_BYTES = 256 << 10
_MOST_SCORE = 10**9
IGNORED = ("input_visualizer_args", "output_visualizer_args", "full_feedback")
STATIC_SCORE = "static_validation_score"
ARGUMENTS = ("args", "input_validator_args", "output_validator_args")
SCORING = ("max_score", "score_aggregation", "require_pass")
_STATIC = (STATIC_SCORE, "static_validator_args")
_KEYS = (*SCORING, *_STATIC, *ARGUMENTS, *IGNORED)
_DRAFT_FLAGS = ("input_validator_flags", "output_validator_flags")
_DRAFT_KEYS = (
    *_KEYS, *_DRAFT_FLAGS, "scoring", "static_validation", "run_samples", "hint", "description",
)  # fmt: skip
_DRAFT_SCORING = ("score", "max_score", "aggregation", "require_pass", "require-pass")
_AGGREGATIONS = ("pass-fail", "sum", "min")


class GroupSettings(NamedTuple):
    """Of one group; with nothing said, None or nothing."""

    where: str
    arguments: tuple[str, ...] = ()
    input_flags: ValidatorFlags = ()
    output_flags: tuple[str, ...] = ()
    most_score: float | None = None  # inf: unbounded
    aggregation: str | None = None
    require_pass: tuple[str, ...] = ()
    runs_samples: bool = True
    static_arguments: tuple[str, ...] | None = None  # None: there is no static validation test
    static_score: float | None = None  # the most of that test; None: pass-fail


def read_settings(
    folder: Folder,
    inherited: GroupSettings,
    metadata: Metadata,
    notes: list[str],
    forbidden: Collection[str] = (),
) -> GroupSettings:
    """What is said of the group `folder`. Arguments and flags are those above where it is silent.

    Raises PackageError, also for those keys of SCORING that are `forbidden` in it.
    """
    where = f"{folder.where}/{GROUP_FILES[0]}"
    own = GroupSettings(where, inherited.arguments, inherited.input_flags, inherited.output_flags)
    found = [name for name in GROUP_FILES if name in folder.files]
    if not found:
        return own
    if len(found) > 1:
        raise PackageError(where, f"stands beside {found[1]}, its old name; keep one")
    is_old = found[0] != GROUP_FILES[0]
    where = f"{folder.where}/{found[0]}"
    if is_old and metadata.format != DRAFT:
        notes.append(f"{where}: the format calls it {GROUP_FILES[0]}")
    text = read_text(folder.files[found[0]], where, _MOST_BYTES)
    document = parse_document(_filled(text, metadata.constants, where), where)
    is_draft = is_old or metadata.format == DRAFT
    fields = Fields(where, document, _DRAFT_KEYS if is_draft else _KEYS)
    if fields.raw("static_validation") not in (None, False):
        raise fields.error("static_validation", f"the format calls it {STATIC_SCORE}")
    check_ignored(fields)
    settings = _static(fields, _scoring(fields, _flags(fields, own._replace(where=where))))
    said = {
        "max_score": settings.most_score is not None,
        "score_aggregation": settings.aggregation is not None,
        "require_pass": bool(settings.require_pass),
    }
    for key in forbidden:
        if said[key]:
            kind = "here" if metadata.is_scoring else "in a pass-fail problem"
            raise fields.error(key, f"is not permitted {kind}")
    return settings


def check_ignored(fields: Fields) -> None:
    """What has no bearing on verdicts, and must be what the format says all the same."""
    for key in IGNORED[:-1]:
        fields.texts(key)
    fields.flag(IGNORED[-1], False)


def _static(fields: Fields, settings: GroupSettings) -> GroupSettings:
    if STATIC_SCORE not in fields:
        if "static_validator_args" in fields:
            raise fields.error("static_validator_args", f"has no meaning without {STATIC_SCORE}")
        return settings
    score = None
    if fields.raw(STATIC_SCORE) != "pass-fail":
        score = fields.integer(STATIC_SCORE, None, least=0, most=_MOST_SCORE)
    arguments = fields.texts("static_validator_args")
    return settings._replace(static_arguments=arguments, static_score=score)


def _flags(fields: Fields, settings: GroupSettings) -> GroupSettings:
    arguments, output_flags = settings.arguments, settings.output_flags
    input_flags = validator_flags(fields, "input_validator_flags", settings.input_flags)
    if "output_validator_flags" in fields:
        output_flags = fields.words("output_validator_flags")
    if "output_validator_args" in fields:
        output_flags = fields.texts("output_validator_args")
    if "args" in fields:
        arguments = fields.texts("args")
    return settings._replace(
        arguments=arguments,
        input_flags=validator_flags(fields, "input_validator_args", input_flags),
        output_flags=output_flags,
        runs_samples=fields.flag("run_samples", True),
    )


def _scoring(fields: Fields, settings: GroupSettings) -> GroupSettings:
    most = _most_score(fields, "max_score")
    aggregation = fields.choice("score_aggregation", _AGGREGATIONS, "")
    required = fields.words("require_pass")
    if "scoring" in fields:
        old = fields.fields("scoring", _DRAFT_SCORING)
        for key in ("score", "max_score"):
            said = _most_score(old, key)
            most = most if said is None else said
        aggregation = old.choice("aggregation", _AGGREGATIONS, aggregation)
        required = old.words("require_pass") or old.words("require-pass") or required
    return settings._replace(
        most_score=most, aggregation=aggregation or None, require_pass=required
    )


def _most_score(fields: Fields, key: str) -> float | None:
    if fields.raw(key) == "unbounded":
        return math.inf
    return fields.integer(key, None, least=0, most=_MOST_SCORE)


def _filled(text: str, constants: Mapping[str, str], where: str) -> str:
    try:
        return with_constants(text.encode(), constants, _MOST_BYTES).decode()
    except ValueError as error:
        raise PackageError(where, str(error)) from error
