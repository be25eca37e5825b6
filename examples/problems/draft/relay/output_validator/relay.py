"""Usage: relay.py input answer feedback_directory < output

The feedback directory stays between the passes: "passed" there says that this is the second.
"""

import re
import sys
from pathlib import Path


def judge(code, message):
    with (feedback / "judgemessage.txt").open("a") as messages:
        messages.write(f"{message}\n")
    sys.exit(code)


word = Path(sys.argv[2]).read_text().strip()
feedback = Path(sys.argv[3])
output = sys.stdin.buffer.read(10000).strip()
if (feedback / "passed").exists():
    judge(42 if output == word.encode() else 43, f"second pass: {output[:60]} for {word}")
if not re.fullmatch(rb"[01]+", output) or len(output) > 5 * len(word):
    judge(43, f"first pass: not 1 to {5 * len(word)} zeros and ones")
(feedback / "passed").touch()
(feedback / "nextpass.in").write_bytes(b"decode\n" + output[::-1] + b"\n")
judge(42, f"first pass: {output}")
