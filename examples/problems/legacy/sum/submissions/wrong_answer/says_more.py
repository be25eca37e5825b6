# The right answer, and a token that nobody asked for.
print(sum(map(int, input().split())), "is the sum")
