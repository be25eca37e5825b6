# What comes first goes in first.
count, capacity = map(int, input().split())
for number, weight in enumerate(map(int, input().split()), 1):
    if weight <= capacity:
        capacity -= weight
        print(number)
