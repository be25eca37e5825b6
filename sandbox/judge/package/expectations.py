"""What a submission is expected to come to: by its directory, submissions.yaml, or a comment."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from sandbox.judge.package.fields import Fields, parse_number
from sandbox.judge.package.metadata import Metadata
from sandbox.judge.problem import Expectation, Group
from sandbox.spec.fields import shown, suggestion

__all__ = [
    "Annotation", "near_directory", "of_annotation", "of_directory", "of_fields", "read_annotation",
]  # fmt: skip

# The formats know four verdicts. Ours are more: what each of them covers.
_COVERED = {
    "AC": frozenset({"AC"}), "WA": frozenset({"WA"}), "TLE": frozenset({"TLE"}),
    "RTE": frozenset({"RTE", "MLE", "OLE"}),
}  # fmt: skip
# DOMjudge's names, for directories and comments. No output at all is a wrong answer there too.
_NAMED = {
    "CORRECT": {"AC"}, "ACCEPTED": {"AC"}, "WRONG-ANSWER": {"WA"}, "NO-OUTPUT": {"WA"},
    "PRESENTATION-ERROR": {"WA"}, "TIMELIMIT": {"TLE"}, "TIME-LIMIT": {"TLE"},
    "TIME-LIMIT-EXCEEDED": {"TLE"}, "RUN-ERROR": {"RTE", "MLE"}, "RUN-TIME-ERROR": {"RTE", "MLE"},
    "RUNTIME-ERROR": {"RTE", "MLE"}, "RUNTIME-EXCEPTION": {"RTE", "MLE"},
    "COMPILER-ERROR": {"CE"}, "COMPILE-ERROR": {"CE"}, "COMPILATION-ERROR": {"CE"},
    "OUTPUT-LIMIT": {"OLE"}, "OUTPUT-LIMIT-EXCEEDED": {"OLE"}, "MEMORY-LIMIT": {"MLE", "RTE"},
    "MEMORY-LIMIT-EXCEEDED": {"MLE", "RTE"},
}  # fmt: skip
_ANY = frozenset(_COVERED)
# Directory -> permitted and required verdicts, in the new formats and in legacy.
_NEW = {
    "accepted": ({"AC"}, set()),
    "rejected": (_ANY, {"WA", "TLE", "RTE"}),
    "wrong_answer": ({"AC", "WA"}, {"WA"}),
    "time_limit_exceeded": ({"AC", "TLE"}, {"TLE"}),
    "run_time_error": ({"AC", "RTE"}, {"RTE"}),
    "brute_force": ({"AC", "RTE", "TLE"}, {"RTE", "TLE"}),
}
_LEGACY = _NEW | {
    "time_limit_exceeded": ({"AC", "WA", "TLE"}, {"TLE"}),
    "run_time_error": (_ANY, {"RTE"}),
}
_WORDS = re.compile(
    r"@EXPECTED_(?:RESULTS|SCORE)@: +([-+]?[0-9.]+|[a-z_-]+(?:[ \t]*,[ \t]*[a-z_-]+)*)",
    re.IGNORECASE,
)
_MOST_SCORE = 1e15


class Annotation(NamedTuple):
    """What the comment in a source says; nothing: there is none."""

    results: tuple[str, ...] = ()
    score: float | None = None


def of_directory(directory: str, metadata: Metadata, data: Group) -> Expectation | None:
    """What a directory of submissions/ stands for; None: nothing."""
    table = _LEGACY if metadata.is_legacy else _NEW
    name = directory.lower().replace("-", "_")
    name = "run_time_error" if name in ("runtime_exception", "runtime_error") else name
    whole = _NAMED.get(directory.upper().replace("_", "-"))
    if whole and metadata.is_domjudges:  # which says it of the sum, and not of each test
        return Expectation(verdicts=frozenset(whole), time_bound="lower" if "AC" in whole else None)
    if name in table:
        permitted, required = table[name]
        bound = None
        if not metadata.is_legacy and name not in ("rejected", "brute_force"):
            bound = "upper" if required == {"TLE"} else "lower"
        elif name == "accepted":
            bound = "lower"
        return Expectation(
            permitted=None if permitted == _ANY else _covered(permitted),
            required=_covered(required),
            time_bound=bound,
        )
    if name == "partially_accepted":
        return _partial(data, metadata) if metadata.is_legacy or metadata.is_scoring else None
    return Expectation(verdicts=frozenset(whole)) if whole else None


def near_directory(directory: str) -> str:
    """`; did you mean NAME?` for a directory that stands for nothing, or nothing."""
    name = directory.lower().replace("-", "_")
    return suggestion(name, (*_LEGACY, "partially_accepted"))


def of_fields(
    fields: Fields, tests: str, default: Expectation | None, metadata: Metadata
) -> Expectation | None:
    """What submissions.yaml asks of some tests; None: nothing. `default`: of a directory."""
    permitted = _verdicts(fields, "permitted")
    required = _verdicts(fields, "required")
    has_any = permitted is not None or required is not None
    bound = "upper" if required == {"TLE"} else None
    if permitted is not None and "TLE" not in permitted:
        bound = "lower"
    wish = fields.raw("use_for_time_limit")
    if wish in ("lower", "upper"):
        bound = wish
    elif wish is not None and not fields.flag("use_for_time_limit", True):
        bound = None
    elif default and not has_any:
        bound = default.time_bound
    expectation = Expectation(
        tests=tests,
        permitted=default.permitted if default else None,
        required=default.required if default else frozenset(),
        score=_score(fields, metadata) or (default.score if default else None),
        message=fields.text("message"),
        time_bound=bound,
    )
    if permitted is not None:
        expectation = expectation._replace(
            permitted=None if permitted == _ANY else _covered(permitted)
        )
    if required is not None:
        expectation = expectation._replace(
            required=frozenset() if required == _ANY else _covered(required)
        )
    return expectation if expectation != Expectation(tests=tests) else None


def read_annotation(source: str, where: str, notes: list[str]) -> Annotation:
    """The comments in `source`; what DOMjudge would not take is told, and nothing asked."""
    results: tuple[str, ...] = ()
    score: float | None = None
    for text in _WORDS.findall(source):
        number = parse_number(text)
        words = () if number is not None else tuple(_words(text))
        if (results and words) or (score is not None and number is not None):
            notes.append(f"{where}: expects twice, so none of it counts: {shown(text)}")
            return Annotation()
        for word in words:
            if word not in _NAMED:
                notes.append(f"{where}: expects {shown(word)}, no result{suggestion(word, _NAMED)}")
                return Annotation()
        results, score = words or results, score if number is None else number
    return Annotation(results, score)


def _words(text: str) -> Iterator[str]:
    return (word.strip().upper().replace("_", "-") for word in text.split(","))


def of_annotation(annotation: Annotation) -> Expectation | None:
    """What a comment asks of the whole submission; None: nothing."""
    if annotation == Annotation():
        return None
    named = [_NAMED[word] for word in annotation.results]
    verdicts = frozenset[str]().union(*named) if named else None
    score = annotation.score
    return Expectation(verdicts=verdicts, score=None if score is None else (score, score))


def _partial(data: Group, metadata: Metadata) -> Expectation:
    """Some points and not all. The new formats have no such directory, and packages of them do:
    there what has lost points is not accepted."""
    low, high = data.grading.score_range
    secret = next((m for m in data.members if isinstance(m, Group) and m.name == "secret"), None)
    if secret is not None and math.isinf(high):
        low, high = secret.grading.score_range
    if metadata.is_maximal or not metadata.is_legacy:
        high = math.nextafter(high, -math.inf) if math.isfinite(high) else high
    if math.isfinite(low) and not (metadata.is_maximal and metadata.is_legacy):
        low = math.nextafter(low, math.inf)
    score = (low, high) if (low, high) != (-math.inf, math.inf) else None
    return Expectation(score=score, verdicts=frozenset({"AC"}) if metadata.is_legacy else None)


def _covered(verdicts: set[str] | frozenset[str]) -> frozenset[str]:
    return frozenset().union(*(_COVERED[verdict] for verdict in verdicts))


def _verdicts(fields: Fields, key: str) -> frozenset[str] | None:
    if key not in fields:
        return None
    words = fields.words(key)
    for word in words:
        if word not in _COVERED:
            near = suggestion(word, _COVERED)
            raise fields.error(key, f"{shown(word)} is not one of {', '.join(_COVERED)}{near}")
    return frozenset(words)


def _score(fields: Fields, metadata: Metadata) -> tuple[float, float] | None:
    value = fields.raw("score")
    if value is None:
        return None
    if not metadata.is_scoring:
        raise fields.error("score", "is for problems of type scoring only")
    numbers = [parse_number(item) for item in (value if isinstance(value, list) else [value] * 2)]
    if len(numbers) != 2 or numbers[0] is None or numbers[1] is None or numbers[0] > numbers[1]:
        raise fields.error("score", "is neither a number nor two, the smaller one first")
    return numbers[0], numbers[1]
