if input() == "encode":
    print("".join(f"{ord(letter) - 97:05b}" for letter in input()))
else:
    while True:
        pass
