for guess in (2, 3):
    print(guess, flush=True)
    input()
