# A number of so many digits that a careless validator throws, or counts it as a small one.
print("1" + "0" * 300000)
