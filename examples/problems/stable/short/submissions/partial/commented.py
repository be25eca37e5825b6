# The sum of the two numbers of the only line, modulo one thousand.
a, b = map(int, input().split())
print((a + b) % 1000)
