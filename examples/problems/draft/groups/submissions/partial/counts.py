a, b, n = map(int, input().split())
print(sum(1 for number in range(1, n + 1) if number % a == 0 or number % b == 0))
