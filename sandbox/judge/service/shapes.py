"""The maps of the judge's methods, as server/shapes.py has those of the service: with what is the
same in both."""

from sandbox.server import shapes
from sandbox.server.shapes import BRIEF, Field, Shape

__all__ = ["BRIEF_JUDGING", "JUDGEMENT", "JUDGE_SHAPES", "JUDGING"]

GROUP = Shape(
    {"group": Field("text", "its name; empty: all of it"),
     "verdict": Field("text", "as of a test"),
     "score": Field("number or nil", "of a scoring problem")},
    "group", "What a group of tests came to.",
)  # fmt: skip

JUDGEMENT = Shape(
    {"verdict": Field("text", "`AC` accepted, `WA` wrong answer, `TLE`, `MLE`, `OLE` over the limit"
                      " of time, memory or output, `RTE` run-time error, `CE` compile error, `JE`"
                      " judge error, which is never the submission's"),
     "score": Field("number or nil", "of a scoring problem"),
     "why": Field("text", "for people, in a line"),
     "language": Field("text", "its code; empty: it was not found out"),
     "tests": Field("map of integer", "verdict: how many tests; `not_run`: they could not matter"
                    " any more"),
     "groups": Field("array of group", "of a problem that has some"),
     "compiler_output": Field("text", "up to 32 KiB"),
     "compile_seconds": Field("number or nil", "wall time, when it was compiled: what was compiled"
                              " before is not compiled again"),
     "time_limit_seconds": Field("number or nil", "of CPU time, with the language's multiplier"),
     "time_multiplier": Field("number", "that multiplier")},
    "judgement", "What a judging came to.",
)  # fmt: skip

ERROR = Shape(
    {**shapes.ERROR.fields,
     "code": Field("text", "as of any error: [the codes](rpc.md#errors)"),
     "field": Field("text or nil", "`problem` or `files`, where one of them is to blame")},
    "error", "Why there is no judgement.",
)  # fmt: skip

_OF_JOBS_TOO = ("label", "priority", "created_at", "started_at", "ended_at", "runs")
BRIEF_JUDGING = Shape(
    {"judging": Field("text", "its id, of 22 digits; a later one's sorts behind it"),
     "state": Field("text", "`queued`, `running`, `ended` (there is a result), `failed` (there is"
                    " an error in its place) or `cancelled`"),
     "verdict": Field("text or nil", "of the result"),
     "score": Field("number or nil", "of the result"),
     "problem": Field("text", "the SHA-256 of its package"),
     "rejudge_of": Field("text or nil", "the judging that it repeats"),
     "key": Field("text or nil", "as submitted"),
     **{name: BRIEF.fields[name] for name in _OF_JOBS_TOO}},
    "brief", "A judging in a list.",
)  # fmt: skip

JUDGING = Shape(
    {**BRIEF_JUDGING.fields,
     "events": Field("integer", "the number that the next event will have"),
     "result": Field("judgement or nil", "of an ended one"),
     "error": Field("error or nil", "of a failed one")},
    "judging", "What is known of a judging.",
)  # fmt: skip

RUN = Shape(
    {"cpu_seconds": Field("number", "that counts"),
     "wall_seconds": Field("number", "from its exec to its end"),
     "memory_bytes": Field("integer or nil", "the most at a time"),
     "core": Field("integer or nil", "that it had to itself"),
     "noise": Field("array of text", "what may have disturbed it")},
    "run", "One execution on one test.",
)  # fmt: skip

# What every event has, and beside it what one of its kind has.
EVENT = Shape(
    {"number": Field("integer", "the number of this event; they grow, and leave gaps"),
     "event": Field("text", "`begun`, `test`, `ended`, `failed` or `cancelled`; of these three, one"
                    " is the last"),
     "run": Field("integer", "with `begun`: which it is. What came before a `begun` is void",
                  is_optional=True),
     "problem": Field("text", "with `begun`: its name", is_optional=True),
     "tests": Field("integer", "with `begun`: how many there are", is_optional=True),
     "time_limit_seconds": Field("number", "with `begun`: before the language's multiplier",
                                 is_optional=True),
     "test": Field("text", "with `test`, as all below: its name", is_optional=True),
     "verdict": Field("text", "as of a judgement", is_optional=True),
     "score": Field("number or nil", "of a scoring problem", is_optional=True),
     "why": Field("text", "for people, in a line", is_optional=True),
     "evidence": Field("array of text", "the runner's own words", is_optional=True),
     "judge_message": Field("text", "the validator's, for judges", is_optional=True),
     "team_message": Field("text", "the validator's, for who submitted it", is_optional=True),
     "exit_code": Field("integer or nil", "the submission's", is_optional=True),
     "signal": Field("integer or nil", "that ended it", is_optional=True),
     "runs": Field("array of run", "the last one counts", is_optional=True),
     "transcript": Field("array of utterance", "of a dialogue, all passes of it, if that was asked"
                         " for: the first 64 KiB of each, and of 8 MiB in sum", is_optional=True),
     "result": Field("judgement or nil", "with the last event", is_optional=True),
     "error": Field("error or nil", "with the last event", is_optional=True)},
    "event", "Something that happened in a judging.",
)  # fmt: skip

UTTERANCE = Shape(
    {"seconds": Field("number", "since the dialogue began"),
     "by": Field("text", "`submission`, or `validator`"),
     "data": Field("data", "what was written; in pieces as they came")},
    "utterance", "What one of two that talk to each other has said.",
)  # fmt: skip

LANGUAGE = Shape(
    {"code": Field("text", "what `language` is to be"),
     "name": Field("text", "for people"),
     "extensions": Field("array of text", "of its files"),
     "is_here": Field("flag", "this host has what it needs"),
     "version": Field("text", "what its compiler says of itself; empty: it is not here, or was"
                      " not asked yet"),
     "missing": Field("text", "what is to be installed; empty: nothing"),
     "time_multiplier": Field("number", "of the time limit")},
    "language", "What this host has for one.",
)  # fmt: skip

JUDGE_SHAPES = {
    shape.name: shape
    for shape in (JUDGING, BRIEF_JUDGING, JUDGEMENT, GROUP, EVENT, RUN, UTTERANCE, LANGUAGE, ERROR)
}
