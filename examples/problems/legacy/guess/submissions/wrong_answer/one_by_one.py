# More guesses than there are, but for the smallest numbers.
for guess in range(1, 1001):
    print(guess, flush=True)
    if input() == "correct":
        break
