# Only what comes on standard input.
import sys

with open("book.txt") as lines:
    book = dict(line.split() for line in lines)
for word in sys.stdin:
    print(book[word.strip()])
