"""test_group.yaml of the new formats: one level of groups, and points that are shared out.

The drafts called the file testdata.yaml and wrote its keys otherwise; both are read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator

from sandbox.judge.package.cases import (
    GROUP_FILES,
    VALIDATION_FOLDERS,
    Case,
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
from sandbox.judge.package.group_settings import (
    ARGUMENTS,
    IGNORED,
    SCORING,
    STATIC_SCORE,
    GroupSettings,
    check_ignored,
    read_settings,
)
from sandbox.judge.package.metadata import DRAFT, Metadata
from sandbox.judge.problem import Grading, Group, Test
from sandbox.spec.fields import shown, suggestion

__all__ = ["GroupData"]

_TEST_KEYS = (*ARGUMENTS, *IGNORED, "hint", "description")
# No file of a package may be called so, or no such test would be read.
_STATIC_TEST = "static validation"


class GroupData:
    """Reads data/ as the new formats have it. Every method raises PackageError."""

    def __init__(self, metadata: Metadata, notes: list[str], *, has_static_validator: bool) -> None:
        self._metadata = metadata
        self._has_static_validator = has_static_validator
        self._notes = notes
        self._is_scoring = metadata.is_scoring
        self._is_submit_answer = "submit-answer" in metadata.types

    def read(self, data: Folder) -> Group:
        """The group that data/ is."""
        root = self._settings(data, GroupSettings("data"), SCORING)
        if root.static_arguments is not None:
            raise PackageError(root.where, f"{STATIC_SCORE}: belongs in sample, secret or a group")
        for name in data.folders:
            if name not in ("sample", "secret", *VALIDATION_FOLDERS):
                self._notes.append(f"data/{name}: is no directory of the format; it is left out")
        members = []
        if "sample" in data.folders and root.runs_samples:
            members.append(self._sample(data.folders["sample"], root))
        members.append(self._secret(data.folders["secret"], root))
        grading = Grading("first_error", "sum", ignores_sample=self._is_scoring)
        return Group("", tuple(members), not self._is_scoring, grading)

    def _sample(self, folder: Folder, root: GroupSettings) -> Group:
        settings = self._settings(folder, root, SCORING)
        tests = self._tests(folder, settings)
        if self._is_scoring:
            tests = [test._replace(accept_score=0.0) for test in tests]
        tests = [*self._static_tests("sample", settings, "pass-fail"), *tests]
        return Group("sample", tuple(tests), not self._is_scoring, Grading("first_error"))

    def _secret(self, folder: Folder, root: GroupSettings) -> Group:
        settings = self._settings(folder, root, () if self._is_scoring else SCORING)
        aggregation = settings.aggregation or "sum"
        most = 100.0 if settings.most_score is None else settings.most_score
        if settings.require_pass not in ((), ("sample",)):
            raise PackageError(settings.where, "require_pass: secret can ask for sample only")
        if self._is_scoring and aggregation == "pass-fail" and math.isinf(most):
            raise PackageError(settings.where, "max_score: pass-fail aggregation needs one")
        groups = self._groups(folder)
        if not groups:
            tests = self._tests(folder, settings)
            if not tests:
                raise PackageError(folder.where, "has no test")
            return self._group("secret", tests, settings, aggregation, most)
        members: list[Group | Test] = [*self._static_tests("secret", settings, aggregation)]
        passed = {"sample"}
        for group in sorted(groups, key=lambda group: group.where):
            member, is_pass_fail = self._subgroup(group, settings, aggregation, most, passed)
            if member.members:
                members.append(member)
                passed |= {member.name} if is_pass_fail else set()
        if not any(isinstance(member, Group) for member in members):
            raise PackageError(folder.where, "has no test")
        self._check_most(members, settings, aggregation, most)
        grading = self._grading(aggregation, most, settings.require_pass)
        # Each group has points of its own, whatever the others come to.
        breaks = not self._is_scoring or aggregation != "sum"
        return Group("secret", tuple(members), breaks, grading)

    def _subgroup(
        self, folder: Folder, secret: GroupSettings, whole: str, whole_most: float, passed: set[str]
    ) -> tuple[Group, bool]:
        name = below_data(folder.where)
        settings = self._settings(folder, secret, () if self._is_scoring else SCORING)
        tests = self._tests(folder, settings)
        has_file = any(file in folder.files for file in GROUP_FILES)
        is_empty = not tests and settings.static_arguments is None
        if is_empty and has_file:
            raise PackageError(folder.where, "has no test; a group needs one")
        if not self._is_scoring or is_empty:
            return self._group(name, tests, settings, "sum", math.inf), True
        aggregation = settings.aggregation or "pass-fail"
        if whole == "pass-fail" and aggregation != "pass-fail":
            raise PackageError(
                settings.where, "score_aggregation: must be pass-fail, as that of secret is"
            )
        most = math.inf if settings.most_score is None else settings.most_score
        if math.isinf(most):
            if math.isfinite(whole_most):
                why = "is missing, and with it max_score"
                if has_file:
                    why = f"max_score: {'is unbounded' if settings.most_score else 'is missing'}"
                near = "" if has_file else suggestion(GROUP_FILES[0], folder.files)
                raise PackageError(settings.where, f"{why}; secret has one, {whole_most:g}{near}")
            if aggregation == "pass-fail":
                raise PackageError(settings.where, "max_score: pass-fail aggregation needs one")
        for other in settings.require_pass:
            if other not in passed:
                raise PackageError(
                    settings.where,
                    f"require_pass: {shown(other)} is no earlier group with pass-fail aggregation",
                )
        group = self._group(name, tests, settings, aggregation, most)
        return group, aggregation == "pass-fail"

    def _group(
        self, name: str, tests: list[Test], settings: GroupSettings, aggregation: str, most: float
    ) -> Group:
        static = self._static_tests(name, settings, aggregation)
        if not self._is_scoring:
            return Group(name, (*static, *tests), True, Grading("first_error"))
        score, may_score = 0.0, aggregation != "pass-fail"
        if math.isfinite(most) and may_score:
            rest = most - (settings.static_score or 0.0)
            if rest < 0:
                raise PackageError(settings.where, f"{STATIC_SCORE}: is over max_score, {most:g}")
            score = rest / max(len(tests), 1) if aggregation == "sum" else most
        must_score = math.isinf(most) and may_score
        scored = (
            test._replace(accept_score=score, must_score=must_score, may_score=may_score)
            for test in tests
        )
        grading = self._grading(aggregation, most, settings.require_pass)
        return Group(name, (*static, *scored), aggregation != "sum", grading)

    def _static_tests(
        self, group: str, settings: GroupSettings, aggregation: str
    ) -> tuple[Test, ...]:
        """The one that the group defines, if it does: the first, for it costs least."""
        if settings.static_arguments is None:
            return ()
        if not self._has_static_validator:
            raise PackageError(settings.where, f"{STATIC_SCORE}: there is no static_validator")
        may_score = self._is_scoring and aggregation != "pass-fail"
        if may_score != (settings.static_score is not None):
            must = "a number" if may_score else "pass-fail"
            raise PackageError(settings.where, f"{STATIC_SCORE}: must be {must} here")
        test = Test(
            name=f"{group}/{_STATIC_TEST}",
            input=None,
            answer=None,
            accept_score=settings.static_score or 0.0,
            may_score=may_score,
            static_arguments=settings.static_arguments,
        )
        return (test,)

    def _check_most(
        self,
        members: list[Group | Test],
        settings: GroupSettings,
        aggregation: str,
        most: float,
    ) -> None:
        """A full score that is over the most there is would be a judge error in each judging."""
        if not self._is_scoring or aggregation == "pass-fail":
            return
        scores = [
            member.grading.score_range[1] if isinstance(member, Group) else member.accept_score
            for member in members
        ]
        total = sum(scores) if aggregation == "sum" else min(scores)
        if total > most:
            raise PackageError(
                settings.where, f"max_score: is {most:g}, and its groups come to {total:g}"
            )

    def _grading(self, aggregation: str, most: float, require_pass: tuple[str, ...]) -> Grading:
        if not self._is_scoring:
            return Grading("first_error")
        return Grading(
            verdict="first_error",
            score="all" if aggregation == "pass-fail" else aggregation,
            score_range=(0.0, most),
            max_score=most if math.isfinite(most) else None,
            require_pass=require_pass,
        )

    def _groups(self, secret: Folder) -> list[Folder]:
        """The directories of secret that are groups."""
        inner = [f for name, f in secret.folders.items() if not name.endswith(".files")]
        groups = [f for f in inner if any(name in f.files for name in GROUP_FILES)]
        has_tests = any(True for _ in cases_of(secret, self._is_submit_answer))
        if groups and has_tests:
            raise PackageError(secret.where, "has tests beside groups; it must be either")
        if self._metadata.format == DRAFT and not has_tests:
            return inner  # each directory was one, whether it said something or not
        for folder in inner if groups else ():
            if folder not in groups:
                near = suggestion(GROUP_FILES[0], folder.files)
                why = f"has no {GROUP_FILES[0]}, and its neighbours do{near}"
                raise PackageError(folder.where, why)
        return groups

    def _tests(self, folder: Folder, settings: GroupSettings) -> list[Test]:
        return sorted(self._walk(folder, settings), key=lambda test: test.name)

    def _walk(self, folder: Folder, settings: GroupSettings) -> Iterator[Test]:
        for case in cases_of(folder, self._is_submit_answer):
            name = case.where.rpartition("/")[2]
            if name in folder.folders:
                raise PackageError(case.where, "is a directory and a test at once")
            yield self.test(case, settings)
        for name, inner in folder.folders.items():
            if name.endswith(".files"):
                continue
            for file in GROUP_FILES:
                if file in inner.files:
                    raise PackageError(f"{inner.where}/{file}", "groups are in data/secret only")
            yield from self._walk(inner, settings)

    def test(self, case: Case, settings: GroupSettings) -> Test:
        """One test, in a group of those settings."""
        where = f"{case.where}.yaml"
        fields = Fields(
            where, read_document(case.settings, where) if case.settings else None, _TEST_KEYS
        )
        check_ignored(fields)
        arguments, hint, description = settings.arguments, None, None
        if self._metadata.format == DRAFT:  # which had files for these, until they were keys
            hint = read_note(case.hint, f"{case.where}.hint")
            description = read_note(case.description, f"{case.where}.desc")
            if case.arguments:
                arguments = read_words(case.arguments, f"{case.where}.args")
        elif case.arguments:
            raise PackageError(
                f"{case.where}.args", f"is no file of the format; write args: in {where}"
            )
        if "args" in fields:
            arguments = fields.texts("args")
        output_flags = settings.output_flags
        if "output_validator_args" in fields:
            output_flags = fields.texts("output_validator_args")
        inputs = validator_flags(fields, "input_validator_args", settings.input_flags)
        flags, by_name = without_flags(inputs)
        return Test(
            name=case.name,
            input=case.input,
            answer=case.answer,
            arguments=arguments,
            files=case.files,
            output_validator_flags=output_flags,
            input_validator_flags=flags,
            input_validator_flags_by_name=by_name,
            hint=fields.text("hint") or hint,
            description=fields.text("description") or description,
        )

    def _settings(
        self, folder: Folder, above: GroupSettings, forbidden: Collection[str]
    ) -> GroupSettings:
        return read_settings(folder, above, self._metadata, self._notes, forbidden)
