a, b = map(int, input().split())
if abs(a) >= 10**9:
    raise OverflowError("too large for me")
print(a + b if a >= -99 else 0)
