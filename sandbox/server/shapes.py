"""The maps that go over the wire, field by field: for the docs, and for tests that compare.

What is sent is made elsewhere. Kinds are those of msgpack: text (str), data (bin), integer, number
(float, or integer), flag (true or false), map; `array of KIND`; `map of KIND`, whose keys are text;
the name of a shape; and any of them `or nil`.
"""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "BRIEF", "EMPTY", "ERROR", "JOB", "LIMITS", "PIECE", "SHAPES", "STATUS", "Field", "Shape",
]  # fmt: skip


class Field(NamedTuple):
    """One field of a map: its kind, and what it means."""

    kind: str
    why: str
    is_optional: bool = False  # it may be missing


class Shape(NamedTuple):
    """One kind of map. Without a name it is described where it is answered."""

    fields: Mapping[str, Field]
    name: str = ""
    why: str = ""


EMPTY = Shape({})

ARTIFACT = Shape(
    {"bytes": Field("integer", "how many"),
     "is_executable": Field("flag", "whether its owner may execute it")},
    "artifact", "A file that the job has left, and that is kept here for `job.read_artifact`.",
)  # fmt: skip

OUTPUT = Shape(
    {"bytes": Field("integer", "how many have come so far"),
     "is_complete": Field("flag", "no more will come"),
     "data": Field("data", "all of them, once it is complete, unless they are more than"
                   " `inline_bytes`", is_optional=True)},
    "output", "How much a job has written to its stdout or stderr.",
)  # fmt: skip

ERROR = Shape(
    {"code": Field("text", "what kind of failure it is; [the codes](#errors) never change"),
     "message": Field("text", "what, to what, why, and what to do; for people"),
     "field": Field("text or nil", "the parameter, or the key of the job, that is wrong: dotted,"
                    " with numbers of entries, as in `ro[0].source`"),
     "retry_after_seconds": Field("number or nil", "with `refused`: when to come back; nil: not"
                                  " before something has changed"),
     "errno": Field("integer", "with `exec`: what execve(2) said", is_optional=True),
     "command": Field("data", "with `exec`: which program it was", is_optional=True)},
    "error", "Why a call failed; or, in a status, why there is no result.",
)  # fmt: skip

RESULT = Shape(
    {"verdict": Field("text", "`exited`, `signaled`, `cpu_time`, `wall_time`, `idle`, `memory`,"
                      " `output`, `disk`, `processes`, `violation` or `cancelled`"),
     "exit_code": Field("integer or nil", "the payload's own; nil: a signal ended it"),
     "signal": Field("integer or nil", "the signal that ended it"),
     "evidence": Field("array of text", "the counters that decided the verdict"),
     "cpu_seconds": Field("number or nil", "of all its processes, from the cgroup; here and below,"
                          " nil is what the kernel does not tell"),
     "cpu_user_seconds": Field("number or nil", "of these, in its own code"),
     "cpu_system_seconds": Field("number or nil", "of these, in the kernel"),
     "wall_seconds": Field("number", "from its exec to its end"),
     "memory_peak_bytes": Field("integer or nil", "the most at a time, with its files"),
     "memory_split_bytes": Field("map of integer", "`anonymous`, `file`, `kernel`, `shmem`: the"
                                 " largest sample of each; empty where it ended before one"),
     "processes_peak": Field("integer or nil", "the most at a time, threads counted"),
     "throttled_seconds": Field("number or nil", "how long `cpus` held it back"),
     "disk_peak_bytes": Field("integer or nil", "the most seen in its files"),
     "disk_peak_inodes": Field("integer or nil", "the most files seen"),
     "stdout_bytes": Field("integer", "written to stdout"),
     "stderr_bytes": Field("integer", "written to stderr"),
     "stdin_bytes": Field("integer", "given to its stdin"),
     "overshoot": Field("map of number", "polled limit: how far past it the job was seen"),
     "walls": Field("map of text", "wall: `up`, or why it is absent"),
     "grades": Field("map of text", "limit: who enforced it, `kernel`, `rlimit`, `polled` or"
                     " `none`"),
     "artifacts": Field("map of text", "path in the job: `collected N bytes`, or why not"),
     "identity": Field("map", "`host_uid` of the payload; `is_own`: no other job had it at that"
                       " time; `why` not"),
     "host": Field("map", "what explains times: `kernel`, `machine`, `cores`, `governor`,"
                   " `load_1min`, `steal_seconds`; `stand_ins`: what was sampled or done otherwise,"
                   " where the kernel lacks a file")},
    "result", "How a job ended. What it did wrong is here, and never an error.",
)  # fmt: skip

BRIEF = Shape(
    {"job": Field("text", "its id, of 22 digits; a later job's sorts behind it"),
     "state": Field("text", "`queued`, `running`, `ended` (there is a result), `failed` (there is"
                    " an error) or `lost` (an error too: the supervisor was killed while it ran)"),
     "label": Field("text or nil", "as submitted"),
     "key": Field("text or nil", "as submitted; of one of a pipeline, `KEY#NUMBER`"),
     "priority": Field("integer", "as submitted"),
     "created_at": Field("number", "when it was accepted; moments are seconds since 1970, UTC"),
     "started_at": Field("number or nil", "when it last left the queue"),
     "ended_at": Field("number or nil", "when it was over"),
     "runs": Field("integer", "how often it was begun")},
    "brief", "A job in a list.",
)  # fmt: skip

STATUS = Shape(
    {**BRIEF.fields,
     "result": Field("result or nil", "of an ended job"),
     "error": Field("error or nil", "of a failed or lost one"),
     "stdout": Field("output", "what it has written there"),
     "stderr": Field("output", "what it has written there"),
     "artifacts": Field("map of artifact", "of an ended job, path in the job: the file; a path"
                        " that is no UTF-8 is a key of bin")},
    "status", "What is known of a job.",
)  # fmt: skip

BLOB = Shape(
    {"sha256": Field("text", "its name"),
     "bytes": Field("integer", "how many it has, or will have"),
     "is_complete": Field("flag", "false: its upload is going on"),
     "expires_at": Field("number", "when it goes, unless it is used before; a job that is queued"
                         " or runs keeps it")},
    "blob", "Bytes that a job may name by their SHA-256.",
)  # fmt: skip

USAGE = Shape(
    {"job": Field("text", "its id"),
     "label": Field("text or nil", "as submitted"),
     "state": Field("text", "`queued` or `running`"),
     "cpu_seconds": Field("number or nil", "used so far; nil, as below: it is not running"),
     "memory_bytes": Field("integer or nil", "now"),
     "processes": Field("integer or nil", "now, without zombies"),
     "wall_seconds": Field("number or nil", "since it was started")},
    "usage", "What a job uses now.",
)  # fmt: skip

DEMAND = Shape(
    {"jobs": Field("integer", "at a time"),
     "memory_bytes": Field("integer", "their memory limits, and disk where that counts apart"),
     "cpus": Field("number", "their CPU limits"),
     "processes": Field("integer", "their process limits"),
     "uids": Field("integer", "host ids, one a job"),
     "disk_bytes": Field("integer", "outputs and artifacts that may have to be kept")},
    "demand", "What jobs take together: the sum of their limits, not of what they use.",
)  # fmt: skip

PIECE = Shape(
    {"offset": Field("integer", "number of its first byte, as asked"),
     "data": Field("data", "the bytes; fewer than asked for where no more are there"),
     "is_end": Field("flag", "nothing comes behind them")}
)  # fmt: skip

LIMITS = Shape(
    {"memory": Field("size", "of all its processes and files; 1MiB at least"),
     "processes": Field("count", "and threads, at a time"),
     "cpus": Field("number", "CPUs' worth of time a second, from 0.01"),
     "cpu_time": Field("time or none", "of all processes together"),
     "wall": Field("time", "from exec to end, up to 30 days"),
     "idle": Field("time or none", "without CPU time and I/O"),
     "extra_time": Field("time", "grace between a time limit and the kill"),
     "disk": Field("size, or text SIZE:INODES", "its files, and how many; 64KiB at least"),
     "output": Field("size", "stdout and stderr together"),
     "fds": Field("count", "open files of a process, from 4"),
     "stack": Field("size or none", "of a process; 128KiB at least"),
     "core": Field("count or none", "the CPU that it may run on")},
    "limits", "A size is an integer of bytes, or text with KiB, MiB, GiB or TiB; a time is a number"
    " of seconds, or text with ms, s, m or h; \"none\" takes back what the policy says. What is"
    " missing is as the policy has it.",
)  # fmt: skip

JOB = Shape(
    {"command": Field("array of data or text", "the program and its arguments; a name without /"
                      " is looked for in the job's PATH"),
     "policy": Field("text", "a name out of `server.info`; a local peer may write the path of a"
                     " .toml file. Default: `default`", is_optional=True),
     "limits": Field("limits", "bounds that differ from the policy's", is_optional=True),
     "cwd": Field("data or text", "where it starts. Default: /work", is_optional=True),
     "env": Field("map of data or text", "its environment, beside what the policy sets",
                  is_optional=True),
     "ro": Field("array of {blob, destination} or {source, destination}", "files that it can read:"
                 " blobs, or for a local peer files and directories of the host. A destination is"
                 " relative to `cwd`", is_optional=True),
     "copy": Field("as ro", "copies that it may change, too", is_optional=True),
     "collect": Field("array of {path} or {path, destination}", "files that it leaves: kept here"
                      " for `job.read_artifact`, or for a local peer written to the host's"
                      " `destination`", is_optional=True),
     "stdin": Field("{blob} or data or text", "what it reads: a blob, or for a local peer a file"
                    " of the host. Default: nothing, or what job.submit says", is_optional=True),
     "tty": Field("flag", "give it a terminal as stdin, stdout and stderr", is_optional=True),
     "root": Field("text", "its /: `host`, which is the host's own /usr, read-only, or for a local"
                   " peer a directory. Default: `host`", is_optional=True),
     "require_grade": Field("map of text", "limit: the weakest grade that will do, `kernel`,"
                            " `rlimit`, `polled` or `none`", is_optional=True),
     "allow_degraded": Field("flag", "memory and processes may be less than kernel-enforced",
                             is_optional=True),
     "disk_counts": Field("text", "`memory`: its files count into the memory limit, or `apart`."
                          " Default: `memory`", is_optional=True),
     "isolation": Field("text", "`container`, the only one so far", is_optional=True)},
    "job", "What to run.",
)  # fmt: skip

SHAPES: Mapping[str, Shape] = {
    shape.name: shape
    for shape in (
        STATUS, BRIEF, OUTPUT, RESULT, ERROR, ARTIFACT, BLOB, USAGE, DEMAND, JOB, LIMITS,
    )
}  # fmt: skip
