# At the end of the input it asks again, for ever.
import sys

while True:
    sys.stdout.write(sys.stdin.readline().upper())
