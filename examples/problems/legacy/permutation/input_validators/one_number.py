#!/usr/bin/env python3
"""One line with a number from 1 to 1000."""

import re
import sys

match = re.fullmatch(r"([1-9][0-9]{0,3})\n", sys.stdin.read())
sys.exit(42 if match and int(match[1]) <= 1000 else 43)
