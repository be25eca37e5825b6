# Nothing of the small and medium groups, all of the large one.
from math import lcm

a, b, n = map(int, input().split())
print(n // a + n // b - n // lcm(a, b) if n > 10**6 or n < 100 else -1)
