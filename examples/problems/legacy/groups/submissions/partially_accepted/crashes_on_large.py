# 20 points: the medium group is wrong, the large one a run-time error.
from math import lcm

a, b, n = map(int, input().split())
assert n <= 10**6
print(n // a + n // b - n // lcm(a, b) + (n > 1000))
