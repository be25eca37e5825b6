# The first one, as often as it fits.
count, capacity = map(int, input().split())
print(*([1] * (capacity // int(input().split()[0]))))
