"""A judge for a queue over HTTP: http_queue.py URL [SANDBOX]

POST URL/claim answers 204, or with one submission:
    {"id": "7", "language": "c", "source": "…", "time_seconds": 1.0, "memory_bytes": 67108864,
     "tests": [{"input": "…", "answer": "…"}]}
What comes of it goes to URL/submissions/7/tests/N, test by test, and to URL/submissions/7/verdict.
The token is in $QUEUE_TOKEN. It ends when the queue answers 410.
"""

import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request

from grading import Program, build, run

from sandbox import Client, SandboxError

IDLE_SECONDS = 1.0
REQUEST_SECONDS = 30.0
MOST_BYTES = 1 << 26


def post(url: str, path: str, body: dict) -> tuple[int, dict | None]:
    """Status and answer. Raises OSError: the queue cannot be reached, or refuses."""
    request = urllib.request.Request(
        f"{url}/{path}",
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {os.environ['QUEUE_TOKEN']}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=REQUEST_SECONDS) as response:
        data = response.read(MOST_BYTES)
        return response.status, json.loads(data) if data else None


def judge(url: str, client: Client, task: dict) -> None:
    """Judge one submission; the first test that fails decides."""
    path, verdict, why = f"submissions/{int(task['id'])}", "AC", ""
    try:
        program = build(client, task["language"], task["source"].encode())
        if not isinstance(program, Program):
            post(url, f"{path}/verdict", {"verdict": "CE", "why": program})
            return
        limits = {"cpu_time": float(task["time_seconds"]), "memory": int(task["memory_bytes"])}
        for number, test in enumerate(task["tests"]):
            done = run(client, program, test["input"].encode(), test["answer"].encode(), limits)
            verdict, why = done.verdict, done.why
            report = {"verdict": verdict, "why": why, "cpu_seconds": done.cpu_seconds,
                      "memory_bytes": done.memory_bytes}  # fmt: skip
            post(url, f"{path}/tests/{number}", report)
            if verdict != "AC":
                break
    except (SandboxError, KeyError) as error:  # ours, or the queue's: not the submission's
        verdict, why = "JE", repr(error)
    post(url, f"{path}/verdict", {"verdict": verdict, "why": why})


def main(url: str, address: str | None = None) -> None:
    with Client(address) as client:
        while True:
            try:
                status, task = post(url, "claim", {})
                if status == 204 or task is None:
                    time.sleep(IDLE_SECONDS)
                else:
                    judge(url, client, task)
            except urllib.error.HTTPError as error:
                if error.code == 410:
                    return
                print(f"the queue refuses: {error}", file=sys.stderr)
                time.sleep(IDLE_SECONDS)
            except (OSError, http.client.HTTPException) as error:
                # The queue hands out again what was claimed and not answered in time.
                print(f"the queue is away: {error}", file=sys.stderr)
                time.sleep(IDLE_SECONDS)


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*sys.argv[1:])
