# Whoever hears it could tell the answer, or keep the question.
import socket

for address in (("127.0.0.1", 80), ("192.0.2.1", 53), ("169.254.169.254", 80)):
    connection = socket.create_connection(address, timeout=0.1)
    connection.sendall(input().encode())
    print(connection.recv(100).decode())
