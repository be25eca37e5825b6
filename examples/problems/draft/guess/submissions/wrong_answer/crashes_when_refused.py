# The validator has decided and is gone before this one fails.
print(0, flush=True)
input()
raise RuntimeError("refused")
