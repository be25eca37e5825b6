# sums[s]: the weights (by number) of one way to fill exactly s
count, capacity = map(int, input().split())
sums = {0: ()}
for number, weight in enumerate(map(int, input().split()), 1):
    for filled, chosen in list(sums.items()):
        if filled + weight <= capacity:
            sums.setdefault(filled + weight, (*chosen, number))
print(*sums[max(sums)])
