from math import lcm

a, b, n = map(int, input().split())
print(n // a + n // b - n // lcm(a, b))
