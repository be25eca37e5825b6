# @EXPECTED_RESULTS@: MEMORY-LIMIT, RUN-ERROR
pieces = ["x"]
while True:
    pieces += pieces
