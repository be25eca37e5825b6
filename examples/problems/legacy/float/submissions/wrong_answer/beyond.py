# Off by a little more than what is forgiven.
for _ in range(int(input())):
    print(abs(complex(*map(float, input().split()))) * (1 + 1.1e-6) + 1.1e-6)
