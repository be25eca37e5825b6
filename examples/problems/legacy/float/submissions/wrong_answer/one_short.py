for _ in range(int(input()) - 1):
    print(abs(complex(*map(float, input().split()))))
