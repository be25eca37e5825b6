#!/usr/bin/env python3
"""Three lines, one a round, of 1 to 20 numbers from 1 to 1000."""

import re
import sys

number = "(1000|[1-9][0-9]{0,2})"
sys.exit(42 if re.fullmatch(f"({number}( {number}){{0,19}}\n){{3}}", sys.stdin.read()) else 43)
