#!/usr/bin/env python3
"""Words, one a line, as many as the first argument says."""

import sys

words = sys.stdin.read()
count = int(sys.argv[1])
sys.exit(
    42
    if words == "".join(f"{word}\n" for word in words.split()) and len(words.split()) == count
    else 43
)
