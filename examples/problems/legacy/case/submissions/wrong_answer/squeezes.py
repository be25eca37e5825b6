# Right but for the number of spaces.
import sys

for line in sys.stdin:
    print(" ".join(line.upper().split()))
