"""Counts the bytes of all sources; arguments: how many are allowed, and how many are short."""

import sys
from pathlib import Path

language, entry_point, feedback, most, short = sys.argv[1:]
length = 0
for path in Path().rglob("*"):
    if path.is_file():
        content = path.read_bytes()
        length += len(content) if content.isascii() else 0  # what was compiled is not
Path(feedback, "judgemessage.txt").write_text(f"{length} bytes of {language}")
if length > int(most):
    sys.exit(43)
Path(feedback, "score_multiplier.txt").write_text("1.0" if length <= int(short) else "0.5")
sys.exit(42)
