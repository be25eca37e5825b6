#!/usr/bin/env python3
"""A count and a capacity, then that many weights that fit by themselves."""

import re
import sys

match = re.fullmatch(r"([1-9][0-9]?) ([1-9][0-9]*)\n((?:[1-9][0-9]*[ \n])+)", sys.stdin.read())
if not match or match[3].count("\n") != 1 or not match[3].endswith("\n"):
    sys.exit(43)
weights = [int(weight) for weight in match[3].split()]
fits = len(weights) == int(match[1]) and max(weights) <= int(match[2]) <= 10000
sys.exit(42 if fits else 43)
