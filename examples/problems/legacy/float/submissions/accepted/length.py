for _ in range(int(input())):
    print(abs(complex(*map(float, input().split()))))
