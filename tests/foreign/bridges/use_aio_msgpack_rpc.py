"""aio-msgpack-rpc, an asyncio client: many calls at once on one connection."""

import asyncio
import sys

from aio_msgpack_rpc import Client
from aio_msgpack_rpc.error import RPCResponseError
from lines import calls, tell


async def call(client, number, method, params):
    try:
        tell(number, None, await client.call(method, params, timeout=60))
    except RPCResponseError as error:
        tell(number, error.args[0], None)


async def main():
    client = Client(*await asyncio.open_unix_connection(sys.argv[1]))
    lines, running = calls(), set()
    while (line := await asyncio.to_thread(next, lines, None)) is not None:
        running.add(asyncio.create_task(call(client, *line)))
    await asyncio.gather(*running)
    client.close()


asyncio.run(main())
