for _ in range(int(input())):
    print(str(abs(complex(*map(float, input().split())))).replace(".", ","))
