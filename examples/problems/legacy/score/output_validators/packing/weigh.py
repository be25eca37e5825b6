"""Usage: weigh.py input answer feedback_directory points=N < output"""

import re
import sys
from pathlib import Path


def reject(message):
    (feedback / "judgemessage.txt").write_text(f"{message}\n")
    sys.exit(43)


feedback = Path(sys.argv[3])
points = float(sys.argv[4].removeprefix("points="))
head, weights = Path(sys.argv[1]).read_text().splitlines()
count, capacity = map(int, head.split())
weights = [int(weight) for weight in weights.split()]
best = sum(weights[int(number) - 1] for number in Path(sys.argv[2]).read_text().split())

# Three bytes a number at most: more need not be read to know that it is wrong.
words = sys.stdin.buffer.read(3 * count + 1000).split()
if not all(re.fullmatch(rb"[1-9][0-9]?", word) and int(word) <= count for word in words):
    reject("not a list of numbers of weights")
chosen = {int(word) for word in words}
if len(chosen) < len(words):
    reject("a weight was taken twice")
filled = sum(weights[number - 1] for number in chosen)
if filled > capacity:
    reject(f"{filled} is over the capacity of {capacity}")
(feedback / "judgemessage.txt").write_text(f"{filled} of {best}\n")
(feedback / "score.txt").write_text(f"{points * filled / best}\n")
sys.exit(42)
