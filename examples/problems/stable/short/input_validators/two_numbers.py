import re
import sys

numbers = re.fullmatch(r"(0|[1-9][0-9]*) (0|[1-9][0-9]*)\n", sys.stdin.read())
sys.exit(42 if numbers and max(map(int, numbers.groups())) <= 10**9 else 43)
