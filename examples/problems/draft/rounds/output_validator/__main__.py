"""Usage: input answer feedback_directory < totals > numbers; once for each of the rounds.

The numbers are those of the answer file, which stays the same in all rounds.
"""

import sys
from pathlib import Path

from state import load, save


def judge(code, message):
    with (feedback / "judgemessage.txt").open("a") as messages:
        messages.write(f"round {done + 1}: {message}\n")
    sys.stdout = None  # what nobody read any more is dropped, or the exit would fail of it
    sys.exit(code)


def say(text):
    try:
        print(text, flush=True)
    except BrokenPipeError:
        judge(43, "left")


feedback = Path(sys.argv[3])
done, total = load(feedback)
rounds = [list(map(int, line.split())) for line in Path(sys.argv[2]).read_text().splitlines()]
say(f"{total} {len(rounds[done])}")
for number in rounds[done]:
    say(number)
    total += number
    line = sys.stdin.buffer.readline(20)
    if line.strip() != b"%d" % total:
        judge(43, f"{line} where {total} was expected")
if sys.stdin.buffer.readline(20).strip():
    judge(43, "more output than asked for")
save(feedback, done + 1, total)
if done + 1 < len(rounds):
    (feedback / "nextpass.in").write_text(f"round {done + 2}\n")
judge(42, f"total {total}")
