import sys

with open("book.txt") as lines:
    book = dict(line.split() for line in lines)
for word in sys.argv[1:] + sys.stdin.read().split():
    print(book[word])
