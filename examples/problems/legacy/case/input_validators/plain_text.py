#!/usr/bin/env python3
"""Lines of letters, digits, spaces, commas and points."""

import re
import sys

text = sys.stdin.read()
sys.exit(42 if re.fullmatch(r"([a-zA-Z0-9 ,.]{0,80}\n){1,100}", text) else 43)
