"""Usage: referee.py input answer feedback_directory < guesses > replies"""

import re
import sys
from pathlib import Path


def judge(code, message):
    Path(sys.argv[3], "judgemessage.txt").write_text(f"{message}\n")
    # What the submission did not want to hear is dropped, or the exit would fail of it.
    sys.stdout = None
    sys.exit(code)


secret, guesses = map(int, Path(sys.argv[1]).read_text().split())
for turn in range(1, guesses + 1):
    # Bounded: a submission may never end its line.
    line = sys.stdin.buffer.readline(20)
    if not line:
        judge(43, f"left before guess {turn}")
    if not re.fullmatch(rb"[1-9][0-9]{0,3}\r?\n?", line) or int(line) > 1000:
        judge(43, f"guess {turn} is no number from 1 to 1000")
    guess = int(line)
    reply = "lower" if guess > secret else "higher" if guess < secret else "correct"
    try:
        print(reply, flush=True)
    except BrokenPipeError:
        judge(43, f"left after guess {turn}")
    if guess == secret:
        if sys.stdin.buffer.readline(20).strip():
            judge(43, f"went on after guess {turn} was right")
        judge(42, f"found with guess {turn}")
judge(43, f"not found with {guesses} guesses")
