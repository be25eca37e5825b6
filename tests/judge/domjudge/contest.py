"""What a DOMjudge server hands out: tasks as its versions write them, and the files behind them."""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = [
    "COMPARE", "CONFIG", "RUN", "VALIDATOR", "Judging", "executable", "files_json", "hash_of_test",
    "md5",
]  # fmt: skip

CONFIG = {
    "output_storage_limit": 50000,
    "timelimit_overshoot": "1s|10%",
    "results_prio": {
        "memory-limit": 99, "output-limit": 99, "run-error": 99, "timelimit": 99,
        "wrong-answer": 99, "no-output": 99, "correct": 1,
    },
    "lazy_eval_results": 1,
}  # fmt: skip
# See conftest.py.
RUN = {"build": b"#!/bin/sh\n", "run": b"#!/bin/sh\nthe default run\n"}
COMPARE = {"build": b"#!/bin/sh\n", "compare.cc": b"the default compare\n"}
VALIDATOR = {"build": b"#!/bin/sh\ncc -o run check.c\n", "check.c": b"int main() { return 42; }\n"}


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def hash_of_test(data: bytes, answer: bytes) -> str:
    return f"{md5(data)}_{md5(answer)}"


def executable(files: Mapping[str, bytes]) -> str:
    """The hash of an executable, all of whose files may be executed."""
    rows = sorted((name, md5(content)) for name, content in files.items())
    return md5("".join(f"{content}{name}1" for name, content in rows).encode())


def files_json(files: Mapping[str, bytes], **more: Any) -> list[dict[str, Any]]:
    """As get_files answers."""
    return [
        {"filename": name, "content": base64.b64encode(content).decode(), **more}
        for name, content in files.items()
    ]


class Judging:
    """One submission to be judged on several tests."""

    def __init__(
        self,
        job: int,
        tests: Sequence[tuple[bytes, bytes]],
        *,
        sources: Mapping[str, bytes] | None = None,
        run: Mapping[str, bytes] = RUN,
        compare: Mapping[str, bytes] = COMPARE,
        extensions: Sequence[str] = ("cpp", "cc"),
        version: str = "8.3",
        run_config: Mapping[str, Any] | None = None,
        compare_config: Mapping[str, Any] | None = None,
        filters: bool = False,
    ) -> None:
        self.job, self.version = job, version
        self.sources = sources or {"main.cpp": b"int main() {}\n"}
        self.is_full = False
        self.results: dict[int, dict[str, str]] = {}  # by task
        self.compiled: list[dict[str, str]] = []
        script = {
            "script_timelimit": 30, "script_memory_limit": 2097152, "script_filesize_limit": 65536,
        }  # fmt: skip
        newer: dict[str, Any] = {} if version == "8.3" else {"pass_limit": 1, "overshoot": 0}
        configs = {
            "compile_config": script
            | {"language_extensions": list(extensions), "filter_compiler_files": filters,
               "hash": "0" * 32},
            "run_config": {
                "time_limit": 2, "memory_limit": 65536, "output_limit": 8192, "process_limit": 64,
                "entry_point": None, "hash": executable(run), **newer, **(run_config or {}),
            },
            "compare_config": script
            | {"compare_args": None, "combined_run_compare": False, "hash": executable(compare)}
            | ({} if version != "10" else {"is_scoring_problem": False})
            | dict(compare_config or {}),
        }  # fmt: skip
        self.executables = {f"{job}1": run, f"{job}2": compare}
        self.tests = {str(job * 100 + n): test for n, test in enumerate(tests, 1)}
        self.rows: list[dict[str, Any]] = [
            {
                "judgetaskid": int(number), "type": "judging_run", "priority": 0, "jobid": str(job),
                "uuid": f"uuid-of-{job}", "submitid": f"s{job}" if version == "10" else str(job),
                "compile_script_id": "1", "run_script_id": f"{job}1",
                "compare_script_id": f"{job}2", "testcase_id": number,
                "testcase_hash": hash_of_test(*test),
                **{name: json.dumps(config) for name, config in configs.items()},
                **({"contestid": "final"} if version == "10" else {}),
            }
            for number, test in self.tests.items()
        ]  # fmt: skip

    @property
    def source_path(self) -> str:
        return f"final/s{self.job}" if self.version == "10" else str(self.job)

    def debug_row(self, task: int, **fields: Any) -> dict[str, Any]:
        """A task of the jury's curiosity, about this judging."""
        return {"judgetaskid": task, "type": "debug_info", "jobid": str(self.job),
                "uuid": f"uuid-of-{self.job}", "submitid": str(self.job), **fields}  # fmt: skip
