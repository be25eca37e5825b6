for _ in range(int(input())):
    x, y = map(int, input().split())
    print((x * x + y * y) ** 0.5)
