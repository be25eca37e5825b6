"""msgpack-rpc-python, the reference client, and msgpack of its time: neither bin nor str 8.

It sends text and bytes as raw alike, speaks TCP only, and its calls block.
"""

import sys

from lines import calls, tell
from msgpackrpc import Address, Client
from msgpackrpc.error import RPCError

port, token = sys.argv[1:]
client = Client(Address("127.0.0.1", int(port)), timeout=60, pack_encoding=None)
client.call("server.hello", {"token": token})
for number, method, params in calls():
    try:
        tell(number, None, client.call(method, params))
    except RPCError as error:
        tell(number, error.args[0], None)
client.close()
