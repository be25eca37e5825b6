#!/usr/bin/env python3
"""One line, two integers, one space between them, nothing else."""

import re
import sys

NUMBER = r"(0|-?[1-9][0-9]{0,12})"

match = re.fullmatch(f"{NUMBER} {NUMBER}\n", sys.stdin.read())
fits = match is not None and all(abs(int(number)) <= 10**12 for number in match.groups())
sys.exit(42 if fits else 43)
