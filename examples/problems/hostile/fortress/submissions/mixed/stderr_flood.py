# @EXPECTED_RESULTS@: OUTPUT-LIMIT, TIMELIMIT, WRONG-ANSWER
# What counts as output, and whether all of stderr is kept, judges see differently.
import sys

while sys.stderr.write("x" * 65536):
    pass
