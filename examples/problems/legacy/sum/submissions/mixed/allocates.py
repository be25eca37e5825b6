# @EXPECTED_RESULTS@: MEMORY-LIMIT, RUN-ERROR
pieces = []
while True:
    pieces.append(bytearray(b"x") * (1 << 24))
