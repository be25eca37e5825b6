#!/usr/bin/env python3
"""The command "encode" and a word of small letters."""

import re
import sys

sys.exit(42 if re.fullmatch(r"encode\n[a-z]{1,50}\n", sys.stdin.read()) else 43)
