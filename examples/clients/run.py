"""Run a command as a job, with nothing but msgpack: run.py SOCKET COMMAND [ARGUMENT…]

Its stdin is ours, its output comes as it is written, and its exit code is ours.
"""

import socket
import sys

import msgpack


class Client:
    """One connection; one call at a time."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._unpacker = msgpack.Unpacker()
        self._msgid = 0

    def call(self, method, **params):
        self._msgid += 1
        self._socket.sendall(msgpack.packb([0, self._msgid, method, [params]]))
        while True:
            for message in self._unpacker:
                if message[:2] == [1, self._msgid]:
                    error, result = message[2:]
                    if error is not None:
                        sys.exit(f"{error['code']}: {error['message']}")
                    return result
            data = self._socket.recv(1 << 16)
            if not data:
                sys.exit("the server has closed the connection")
            self._unpacker.feed(data)


path, *command = sys.argv[1:]
client = Client(path)
# For more than 512 KiB of stdin, upload a blob, or submit with stdin_open and call job.write.
job = client.call("job.submit", job={"command": command}, stdin=sys.stdin.buffer.read())["job"]

offset, is_end = 0, False
while not is_end:
    piece = client.call("job.read", job=job, stream="stdout", offset=offset, wait_seconds=60)
    sys.stdout.buffer.write(piece["data"])
    sys.stdout.flush()
    offset += len(piece["data"])
    is_end = piece["is_end"]

status = client.call("job.wait", job=job, wait_seconds=60)
if status["error"] is not None:
    sys.exit(status["error"]["message"])
result = status["result"]
print(result["verdict"], *result["evidence"], sep="; ", file=sys.stderr)
sys.exit(1 if result["exit_code"] is None else result["exit_code"])
