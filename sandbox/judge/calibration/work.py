"""As work.c."""

import sys


def integer(count):
    x = 1
    for _ in range(count):
        x = (x * 1664525 + 1013904223) & 0xFFFFFFFF
        x ^= x >> 13
    print(x)


def memory(size, count):
    following = [(i * 1664525 + 1013904223) & (size - 1) for i in range(size)]
    at = 0
    for _ in range(count):
        at = following[at]
    print(at)


def floating(count):
    total = 0.0
    for i in range(count):
        total = total * 0.999 + 1.0 / (i + 0.5)
    print(f"{total * 1000:.6f}")


kinds = {"integer": integer, "memory": memory, "float": floating}
if len(sys.argv) > 1:
    kinds[sys.argv[1]](*map(int, sys.argv[2:]))
