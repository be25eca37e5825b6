"""What the judgehost API takes, as DOMjudge's OpenAPI has it and its controller reads it: the fake
server refuses a request that is not like this."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

__all__ = ["CALLS", "RESULTS", "Call", "complaint"]

RESULTS = {
    "correct", "compiler-error", "timelimit", "run-error", "no-output", "wrong-answer",
    "output-limit", "memory-limit",
}  # fmt: skip
# What the pages of the jury read from a run's metadata.
METADATA = {"cpu-time", "wall-time", "memory-bytes", "exitcode"}


def is_base64(text: str) -> bool:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        return False
    return True


def is_metadata(text: str) -> bool:
    lines = base64.b64decode(text).decode().splitlines()
    return {line.partition(": ")[0] for line in lines} >= METADATA


def is_disabled(text: str) -> bool:
    table = json.loads(text)
    keys = {
        "judgehost": {"kind", "hostname"},
        "testcase": {"kind", "testcaseid"},
        **{
            f"{kind}_script": {"kind", f"{kind}_script_id"}
            for kind in ("compile", "run", "compare")
        },
    }
    return table.keys() == keys[table["kind"]]


def is_number(text: str) -> bool:
    return re.fullmatch(r"\d+(\.\d+)?", text) is not None


Check = Callable[[str], bool]
HOST: Mapping[str, Check] = {"hostname": bool}


class Call(NamedTuple):
    """One endpoint: the fields of its form."""

    required: Mapping[str, Check] = {}
    optional: Mapping[str, Check] = {}


CALLS = {
    ("POST", "judgehosts"): Call(HOST),
    ("POST", "judgehosts/fetch-work"): Call(HOST, {"max_batchsize": str.isdecimal}),
    ("PUT", "judgehosts/update-judging"): Call(
        {"output_compile": is_base64, "compile_success": {"0", "1"}.__contains__},
        {"entry_point": bool, "compile_metadata": is_base64},
    ),
    ("POST", "judgehosts/add-judging-run"): Call(
        {
            "runresult": RESULTS.__contains__, "runtime": is_number, "start_time": is_number,
            "end_time": is_number, "output_run": is_base64, "output_diff": is_base64,
            "output_error": is_base64, "output_system": is_base64, "metadata": is_metadata,
        },
        {"hostname": bool, "team_message": is_base64, "score": is_base64, "pass": str.isdecimal},
    ),
    ("POST", "judgehosts/internal-error"): Call(
        {
            "description": bool, "judgehostlog": is_base64, "disabled": is_disabled,
            "hostname": bool,
        },
        {"judgetaskid": str.isdecimal},
    ),
    ("POST", "judgehosts/add-debug-info"): Call(
        {}, {"output_run": is_base64, "full_debug": is_base64}
    ),
}  # fmt: skip


def complaint(method: str, path: str, form: Mapping[str, str]) -> str | None:
    """What is wrong with a request, or None."""
    parts = path.split("/")
    call = CALLS.get((method, "/".join(parts[:2])))
    if call is None:
        return None if method == "GET" else f"no such call: {method} {path}"
    known = {**call.required, **call.optional}
    if missing := call.required.keys() - form.keys():
        return f"{path}: no {', '.join(sorted(missing))}"
    if unknown := form.keys() - known.keys():
        return f"{path}: unknown {', '.join(sorted(unknown))}"
    wrong = [name for name, value in form.items() if not known[name](value)]
    return f"{path}: wrong {', '.join(wrong)}" if wrong else None
