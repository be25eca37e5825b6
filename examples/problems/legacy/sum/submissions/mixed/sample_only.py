# @EXPECTED_RESULTS@: CORRECT, WRONG-ANSWER
# Right for small numbers; which verdict comes first depends on what is run.
a, b = map(int, input().split())
print(a + b if abs(a) < 100 and abs(b) < 100 else 0)
