if input() == "encode":
    print("".join(f"{ord(letter) - 97:05b}" for letter in input()))
else:
    bits = input()[::-1]
    print("".join(chr(97 + int(bits[i : i + 5], 2)) for i in range(0, len(bits), 5)))
