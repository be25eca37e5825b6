"""submissions/: what is one submission, and what is said of it where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from sandbox.judge.package.document import read_document
from sandbox.judge.package.domjudge import read_submission_details
from sandbox.judge.package.errors import PackageError
from sandbox.judge.package.expectations import (
    Annotation,
    near_directory,
    of_annotation,
    of_directory,
    of_fields,
    read_annotation,
)
from sandbox.judge.package.fields import Fields
from sandbox.judge.package.files import Folder, PackageFiles, read_start
from sandbox.judge.package.globs import expand, matches_any
from sandbox.judge.package.metadata import Metadata
from sandbox.judge.problem import Expectation, Group, Submission
from sandbox.spec.fields import suggestion

__all__ = ["expects_scores", "read_submissions"]

_FILE = "submissions.yaml"
_MOST_SOURCE_BYTES = 1 << 20
_MOST_RULES = 500
_MOST_SUBMISSIONS = 1000
_OFTEN = ("accepted", "wrong_answer", "time_limit_exceeded", "run_time_error")
_EXPECTED = ("permitted", "required", "score", "message", "use_for_time_limit")
_OWN = ("language", "entrypoint", "authors", "model_solution")
_KEYS = (*_OWN, *_EXPECTED)


def expects_scores(package: PackageFiles) -> bool:
    """Whether a comment in a submission says @EXPECTED_SCORE@: DOMjudge reads that, nobody else."""
    folder = package.folder("submissions")
    files = folder.walk() if folder else ()
    return any(_annotation(path, name, []).score is not None for name, path in files)


def read_submissions(
    package: PackageFiles, metadata: Metadata, data: Group
) -> tuple[Submission, ...]:
    """Every submission of the package, in order. Raises PackageError."""
    folder = package.folder("submissions")
    if folder is None:
        package.notes.append("submissions: is missing")
        return ()
    rules = _read_rules(folder, metadata, package.notes)
    details = read_submission_details(package)
    count = sum(len(inner.files) + len(inner.folders) for inner in folder.folders.values())
    if count > _MOST_SUBMISSIONS:
        raise PackageError("submissions", f"{count} of them, over {_MOST_SUBMISSIONS}")
    reader = _Reader(metadata, data, rules, details, package.notes)
    found = tuple(reader.read(folder))
    names = [above for one in found for above in (one.name, one.name.partition("/")[0])]
    for pattern in rules:
        expanded = expand(pattern)
        if not any(matches_any(expanded, name) for name in names):
            package.notes.append(f"submissions/{_FILE}: {pattern}: matches no submission")
    return found


def _read_rules(folder: Folder, metadata: Metadata, notes: list[str]) -> dict[str, Fields]:
    """Pattern -> what it says."""
    where = f"submissions/{_FILE}"
    path = folder.files.get(_FILE)
    top = Fields(where, read_document(path, where) if path else None)
    rules, patterns = {}, 0
    for pattern in top:
        fields = rules[pattern] = top.fields(pattern)
        try:
            patterns += len(expand(pattern))
            if patterns > _MOST_RULES:  # each is held against the name of each submission
                raise PackageError(where, f"has over {_MOST_RULES} patterns")
            for key in fields:
                if not isinstance(fields.raw(key), Mapping):
                    if key not in _KEYS:
                        raise fields.error(key, f"no such key{suggestion(key, _KEYS)}")
                elif key not in _OWN:
                    expand(key)
                    fields.fields(key, _EXPECTED)  # its keys are looked at, matched or not
        except ValueError as error:
            raise PackageError(where, f"{pattern}: {error}") from error
    return rules


class _Reader:
    def __init__(
        self,
        metadata: Metadata,
        data: Group,
        rules: Mapping[str, Fields],
        details: Mapping[str, Fields],
        notes: list[str],
    ) -> None:
        self._metadata, self._data, self._notes = metadata, data, notes
        self._rules = [(pattern, expand(pattern), fields) for pattern, fields in rules.items()]
        self._details = details

    def read(self, folder: Folder) -> Iterator[Submission]:
        for name in folder.files:
            if name != _FILE:
                self._notes.append(f"submissions/{name}: is in no directory; it is left out")
        for directory, inner in folder.folders.items():
            for name, path in inner.files.items():
                yield self._submission(directory, name, ((name, path),))
            for name, program in inner.folders.items():
                files = tuple(program.walk())
                if files:
                    yield self._submission(directory, name, files)
                else:
                    self._notes.append(f"submissions/{directory}/{name}: is empty")

    def _submission(
        self, directory: str, base: str, files: tuple[tuple[str, Path], ...]
    ) -> Submission:
        name = f"{directory}/{base}"
        language, entry_point = self._said_by_domjudge(name)
        default = of_directory(directory, self._metadata, self._data)
        expectations = []
        for pattern, expanded, fields in self._rules:
            if not matches_any(expanded, name):
                continue
            language = fields.text("language") or language
            entry_point = fields.text("entrypoint") or entry_point
            of_default = default if pattern == directory else None
            expectations += self._expected(fields, of_default)
            default = None if pattern == directory else default
        comment = self._comment(name, files)
        if default is None and not expectations:
            asked = of_annotation(comment)
            if asked is None:
                near = near_directory(directory)
                self._notes.append(f"submissions/{name}: nothing says what it should come to{near}")
            expectations = [asked] if asked else []
        elif default is not None:
            # DOMjudge's comments count in directories that stand for nothing themselves.
            expectations.insert(0, self._with_score(default, comment))
        bounds = [one.time_bound for one in expectations if one.tests == "*"]
        is_model = directory == "accepted" and "lower" in bounds
        return Submission(name, files, language, entry_point, tuple(expectations), is_model)

    def _expected(self, fields: Fields, default: Expectation | None) -> Iterator[Expectation]:
        whole = of_fields(fields, "*", default, self._metadata)
        if whole is not None:
            yield whole
        for key in fields:
            if isinstance(fields.raw(key), Mapping) and key not in _OWN:
                some = of_fields(fields.fields(key, _EXPECTED), key, None, self._metadata)
                if some is not None:
                    yield some

    def _with_score(self, default: Expectation, comment: Annotation) -> Expectation:
        if comment.score is None or default.score is not None:
            return default
        return default._replace(score=(comment.score, comment.score))

    def _said_by_domjudge(self, name: str) -> tuple[str | None, str | None]:
        fields = self._details.get(name)
        return (fields.text("langid"), fields.text("entry_point")) if fields else (None, None)

    def _comment(self, name: str, files: tuple[tuple[str, Path], ...]) -> Annotation:
        for file, path in files:
            where = f"submissions/{name}" if len(files) == 1 else f"submissions/{name}/{file}"
            found = _annotation(path, where, self._notes)
            if found != Annotation():
                return found
        return Annotation()


def _annotation(path: Path, where: str, notes: list[str]) -> Annotation:
    # In whatever encoding: a comment's words are ASCII.
    source = read_start(path, where, _MOST_SOURCE_BYTES).decode("latin-1")
    return read_annotation(source, where, notes)
