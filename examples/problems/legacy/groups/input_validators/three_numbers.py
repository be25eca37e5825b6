#!/usr/bin/env python3
"""Three numbers in a line: two from 1 to 1000, and one up to what --most says."""

import re
import sys

most = 10**18
for argument in sys.argv[1:]:
    if not argument.startswith("--most="):
        sys.exit(f"unknown argument {argument}")
    most = int(argument.removeprefix("--most="))
match = re.fullmatch(r"([1-9][0-9]*) ([1-9][0-9]*) ([1-9][0-9]*)\n", sys.stdin.read())
if not match:
    sys.exit(43)
a, b, n = map(int, match.groups())
sys.exit(42 if a <= 1000 and b <= 1000 and n <= most else 43)
