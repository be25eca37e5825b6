# Never satisfied: the last digit goes back and forth.
for _ in range(int(input())):
    x, y = map(float, input().split())
    square, root = x * x + y * y, 1.0
    while root * root != square:
        root = (root + square / root) / 2
    print(root)
