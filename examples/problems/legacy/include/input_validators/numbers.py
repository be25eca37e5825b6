#!/usr/bin/env python3
"""A count, then that many numbers from 0 to 999."""

import re
import sys

match = re.fullmatch(
    r"([1-9][0-9]?)\n((?:0|[1-9][0-9]{0,2})(?: (?:0|[1-9][0-9]{0,2}))*)\n", sys.stdin.read()
)
sys.exit(42 if match and len(match[2].split()) == int(match[1]) else 43)
