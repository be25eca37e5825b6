"""A call of every method of the judge, for docs/judge-rpc.md: as tests/server/rpc_examples.py.

Record them anew:
PYTHONPATH=.:tests python tests/judge/service/rpc_examples.py docs/rpc/judge-examples.txt
"""

import pprint
import sys
import tempfile
from pathlib import Path

from judge.service.contest import RIGHT, WRONG, package, upload, zipped
from server.rpc_examples import Peer, everywhere, record

__all__ = ["converse"]

_WAIT = {"wait_seconds": 30.0}


def converse(peer: Peer) -> None:
    """Call every method of the judge."""
    problem = upload(peer, zipped(package(tests=2)))
    files = {"double.py": WRONG}
    submitted = peer.call(
        "judge.submit", problem=problem, files=files, key="submission-7", label="team-12"
    )
    judging = {"judging": submitted["judging"]}
    peer.call("judge.wait", **judging, **_WAIT)
    peer.call("judge.status", **judging)
    peer.call("judge.events", **judging)
    peer.call("judge.result", **judging)
    peer.call("judge.stream", **judging)
    peer.pushed("judge.stream")
    peer.pushed("judge.stream")
    peer.call("judge.rejudge", **judging, **_WAIT)
    peer.call("judge.list", most=1)
    peer.call("judge.cancel", **judging)
    peer.call("judge.delete", **judging)
    peer.call("judge.languages")
    wrong = {"problem.yaml": b"name: Double\nproblem_format_version: 2023-07-draft\nlimit: 1\n"}
    bad = upload(peer, zipped(package(**wrong)))
    peer.call("judge.submit", name="bad package", problem=bad, files={"a.py": RIGHT}, **_WAIT)
    peer.call("server.drain", deadline_seconds=0.0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        found = everywhere(record(Path(directory), converse))
    found = {name: one for name, one in found.items() if one["method"].startswith("judge.")}
    found["judge.languages"]["answer"]["languages"] = found["judge.languages"]["answer"][
        "languages"
    ][:2]
    Path(sys.argv[1]).write_text(pprint.pformat(found, width=100, sort_dicts=False) + "\n")
