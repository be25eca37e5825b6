# Eight bits a letter, where five are allowed: the first pass fails.
if input() == "encode":
    print("".join(f"{ord(letter):08b}" for letter in input()))
