# It is gone where the total says that this is no longer the first or second round.
total, count = map(int, input().split())
if total in (0, 1, 3):
    for _ in range(count):
        total += int(input())
        print(total, flush=True)
