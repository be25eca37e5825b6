#!/usr/bin/env python3
"""The secret number and how many guesses there are."""

import re
import sys

match = re.fullmatch(r"([1-9][0-9]{0,3}) (10|11|12)\n", sys.stdin.read())
sys.exit(42 if match and int(match[1]) <= 1000 else 43)
