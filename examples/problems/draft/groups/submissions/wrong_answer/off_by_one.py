# Not even the sample.
a, b, n = map(int, input().split())
print(n // a + n // b)
