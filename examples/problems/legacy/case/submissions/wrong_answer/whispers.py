# Right but for the letters' case.
import sys

sys.stdout.write(sys.stdin.read().lower())
