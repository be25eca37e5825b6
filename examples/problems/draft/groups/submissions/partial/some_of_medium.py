# One test of the medium group, and the large one.
from math import lcm

a, b, n = map(int, input().split())
print(n // a + n // b - n // lcm(a, b) if n not in (500000, 1000000) else 0)
