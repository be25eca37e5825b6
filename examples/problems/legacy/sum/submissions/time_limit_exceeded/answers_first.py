# The right answer at once, then no end.
print(sum(map(int, input().split())), flush=True)
while True:
    pass
