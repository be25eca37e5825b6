# Right in the first round only.
total, count = map(int, input().split())
total = 0
for _ in range(count):
    total += int(input())
    print(total, flush=True)
