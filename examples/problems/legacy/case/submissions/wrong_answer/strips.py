# Right but for spaces at the ends of lines.
import sys

for line in sys.stdin:
    print(line.upper().rstrip())
