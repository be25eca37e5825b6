print(open("dictionary.txt").read())
