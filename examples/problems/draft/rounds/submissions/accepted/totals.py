total, count = map(int, input().split())
for _ in range(count):
    total += int(input())
    print(total, flush=True)
