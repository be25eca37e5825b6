# The product in place of the least common multiple, and one too many.
a, b, n = map(int, input().split())
print(n // a + n // b - n // (a * b) + 1)
