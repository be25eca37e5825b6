# In the second round it waits for a number more before it answers: so does the judge.
total, count = map(int, input().split())
rest = total > 0
for _ in range(count + rest):
    total += int(input())
    print(total, end="\n", flush=not rest)
