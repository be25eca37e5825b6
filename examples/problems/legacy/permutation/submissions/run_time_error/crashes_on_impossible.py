n = int(input())
assert n not in (2, 3)
print(*range(2, n + 1, 2), *range(1, n + 1, 2))
