"""testdata.yaml of the legacy format: groups of any depth, whose settings their own inherit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from sandbox.judge.package.cases import (
    Case,
    ValidatorFlags,
    below_data,
    cases_of,
    read_note,
    read_words,
    validator_flags,
    without_flags,
)
from sandbox.judge.package.document import read_document
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import Folder
from sandbox.judge.package.metadata import Metadata
from sandbox.judge.problem import Grading, Group, Test
from sandbox.spec.fields import shown, suggestion

__all__ = ["GRADING_KEYS", "LegacyData"]

_FILE = "testdata.yaml"
_MOST_SCORE = 1e15
_SCORES = ("accept_score", "reject_score", "range")
GRADING_KEYS = ("on_reject", "grading", "grader_flags", *_SCORES)
_KEYS = (*GRADING_KEYS, "input_validator_flags", "output_validator_flags")
_VERDICT_MODES = ("worst_error", "first_error", "always_accept")
_SCORE_MODES = ("sum", "avg", "min", "max")
_FLAGS = (*_VERDICT_MODES, *_SCORE_MODES, "ignore_sample", "accept_if_any_accepted")
_PARTS = ("sample", "secret")
# Before testdata.yaml, problem.yaml said it, in other words.
_ON_REJECT = {"first_error": True, "worst_error": False, "grade": False}


class _Settings(NamedTuple):
    breaks: bool = True
    is_custom: bool = False
    grader_flags: tuple[str, ...] = ()
    input_flags: ValidatorFlags = ()
    output_flags: tuple[str, ...] = ()
    accept_score: float = 1.0
    reject_score: float = 0.0
    score_range: tuple[float, float] = (-math.inf, math.inf)


class LegacyData:
    """Reads data/ as the legacy format has it. Every method raises PackageError."""

    def __init__(self, metadata: Metadata, has_grader: bool, notes: list[str]) -> None:
        self._metadata = metadata
        self._has_grader = has_grader
        self._notes = notes

    def read(self, data: Folder) -> Group:
        """The group that data/ is."""
        for name in data.folders:
            if name not in _PARTS:
                self._notes.append(f"data/{name}: is neither sample nor secret; it is left out")
        for case in cases_of(data, False):
            raise PackageError(case.where + ".in", "tests belong in data/sample or data/secret")
        kept = {name: folder for name, folder in data.folders.items() if name in _PARTS}
        group = self._group(data._replace(folders=kept), self._of_problem())
        if not any(True for _ in group.tests()):
            raise PackageError("data", "there is no test in data/secret")
        if "secret" not in kept:
            self._notes.append("data/secret: is missing; the samples are all there is")
        return group

    def _group(self, folder: Folder, inherited: _Settings) -> Group:
        settings = self._settings(folder, inherited)
        is_root = folder.where == "data"
        members: dict[str, Group | Test] = {}
        for case in cases_of(folder, "submit-answer" in self._metadata.types):
            members[case.name] = self._test(case, settings)
        for name, inner in folder.folders.items():
            if name.endswith(".files") and not self._metadata.is_legacy:
                continue
            group = self._group(inner, self._for_inner(settings))
            if not group.members:
                self._notes.append(f"{inner.where}: has no test; it is left out")
            elif group.name in members:
                raise PackageError(inner.where, "is a group and a test at once")
            else:
                members[group.name] = group
        ordered = tuple(members[name] for name in sorted(members))
        is_domjudges = self._metadata.is_domjudges
        grading = self._grading(settings, is_root, is_domjudges=is_domjudges)
        if is_domjudges:
            grading = self._as_domjudge_has_it(grading, folder, ordered, settings)
        return Group(below_data(folder.where), ordered, settings.breaks, grading)

    def _test(self, case: Case, settings: _Settings) -> Test:
        is_legacy = self._metadata.is_legacy
        if is_legacy and case.arguments:
            self._notes.append(f"{case.where}.args: is no file of this format; it is left out")
        flags, by_name = without_flags(settings.input_flags)
        return Test(
            name=case.name,
            input=case.input,
            answer=case.answer,
            arguments=() if is_legacy else read_words(case.arguments, f"{case.where}.args"),
            files=case.files,
            output_validator_flags=settings.output_flags,
            input_validator_flags=flags,
            input_validator_flags_by_name=by_name,
            accept_score=0.0 if self._metadata.is_domjudges else settings.accept_score,
            reject_score=0.0 if self._metadata.is_domjudges else settings.reject_score,
            hint=read_note(case.hint, f"{case.where}.hint"),
            description=read_note(case.description, f"{case.where}.desc"),
        )

    def _settings(self, folder: Folder, inherited: _Settings) -> _Settings:
        path = folder.files.get(_FILE)
        if path is None:
            return inherited
        where = f"{folder.where}/{_FILE}"
        # Of keys that are there twice the last counts, as for the format's own tool. Unknown ones
        # are told even in a draft, which had some of them for a while.
        document = read_document(path, where, self._notes)
        fields = Fields(where, document, _KEYS, notes=self._notes)
        on_reject = fields.choice(
            "on_reject", ("break", "continue"), "break" if inherited.breaks else "continue"
        )
        default = "custom" if inherited.is_custom else "default"
        settings = inherited._replace(
            breaks=on_reject == "break",
            is_custom=fields.choice("grading", ("default", "custom"), default) == "custom",
            input_flags=validator_flags(fields, "input_validator_flags", inherited.input_flags),
        )
        if settings.is_custom and not self._has_grader:
            raise fields.error("grading", "is custom, and graders/ has no grader")
        if "grader_flags" in fields:
            settings = settings._replace(grader_flags=fields.words("grader_flags"))
            self._check_flags(fields, settings, folder.where == "data")
        if "output_validator_flags" in fields:
            flags = validator_flags(fields, "output_validator_flags", ())
            flags = next(iter(flags.values()), ()) if isinstance(flags, dict) else flags
            settings = settings._replace(output_flags=flags)
        return self._scores(fields, settings)

    def _scores(self, fields: Fields, settings: _Settings) -> _Settings:
        if not self._metadata.is_scoring:
            for key in _SCORES:
                if key in fields:
                    why = "is for problems of type scoring only; it is ignored"
                    self._notes.append(str(fields.error(key, why)))
            return settings
        most = {"least": -_MOST_SCORE, "most": _MOST_SCORE, "above": -math.inf}
        accept = fields.number("accept_score", settings.accept_score, **most)
        reject = fields.number("reject_score", settings.reject_score, **most)
        assert accept is not None and reject is not None
        score_range = _range(fields) if "range" in fields else settings.score_range
        return settings._replace(accept_score=accept, reject_score=reject, score_range=score_range)

    def _check_flags(self, fields: Fields, settings: _Settings, is_root: bool) -> None:
        if settings.is_custom:
            return
        for flag in settings.grader_flags:
            if flag not in _FLAGS:
                near = suggestion(flag, _FLAGS)
                raise fields.error(
                    "grader_flags", f"{shown(flag)} is no flag of the default grader{near}"
                )
        if "ignore_sample" in settings.grader_flags:
            if not is_root:
                raise fields.error("grader_flags", "ignore_sample belongs in data/testdata.yaml")
            if settings.breaks:
                self._notes.append(
                    f"{fields.file}: grader_flags: ignore_sample, and a sample that fails"
                    " ends it all; say on_reject: continue"
                )

    @staticmethod
    def _for_inner(settings: _Settings) -> _Settings:
        if settings.is_custom:
            return settings
        kept = tuple(flag for flag in settings.grader_flags if flag != "ignore_sample")
        return settings._replace(grader_flags=kept)

    @staticmethod
    def _as_domjudge_has_it(
        grading: Grading, folder: Folder, members: Sequence[Group | Test], settings: _Settings
    ) -> Grading:
        """accept_score is worth all of a group of tests; and what says nothing is no group."""
        if not any(isinstance(member, Group) for member in members):
            score, most = grading.score, settings.accept_score
            return grading._replace(score="all", max_score=most, of_scores=score)
        sample = folder.folders.get("sample")
        if folder.where == "data" and sample and _FILE not in sample.files:
            return grading._replace(ignores_sample=True)
        return grading

    @staticmethod
    def _grading(settings: _Settings, is_root: bool, *, is_domjudges: bool) -> Grading:
        if settings.is_custom:
            return Grading(
                "worst_error", score_range=settings.score_range, flags=settings.grader_flags,
                is_custom=True,
            )  # fmt: skip
        verdict, score = "first_error" if is_domjudges else "worst_error", "sum"
        for flag in settings.grader_flags:  # of several of a kind the last one counts
            verdict = flag if flag in _VERDICT_MODES else verdict
            score = flag if flag in _SCORE_MODES else score
        accepts_any = "accept_if_any_accepted" in settings.grader_flags
        return Grading(
            verdict="accept_if_any_accepted" if accepts_any else verdict,
            score=score,
            ignores_sample="ignore_sample" in settings.grader_flags,
            score_range=settings.score_range,
            otherwise=verdict,
        )

    def _of_problem(self) -> _Settings:
        """What problem.yaml says of grading, where testdata.yaml says nothing."""
        fields = self._metadata.grading
        settings = _Settings(accept_score=0.0) if self._metadata.is_domjudges else _Settings()
        for key in fields:
            if key not in ("objective", "show_test_data_groups", "on_reject", *_SCORES):
                self._notes.append(str(fields.error(key, "no such key; it is ignored")))
        if "on_reject" in fields:
            on_reject = fields.choice("on_reject", tuple(_ON_REJECT), "worst_error")
            settings = settings._replace(breaks=_ON_REJECT[on_reject])
        return self._scores(fields, settings) if self._metadata.is_scoring else settings


def _range(fields: Fields) -> tuple[float, float]:
    words: Any = fields.words("range")
    try:
        low, high = (float(word) if len(word) < 64 else math.nan for word in words)
    except ValueError:
        low = high = math.nan
    if not low <= high:
        raise fields.error("range", "is not two numbers, the smaller one first (inf and -inf too)")
    return low, high
