"""Calls that the tests want made, and what became of them: a line of JSON each, bytes as hex."""

import json
import sys


def calls():
    """Each call as (number, method, params)."""
    for line in sys.stdin:
        call = json.loads(line, object_hook=_with_bytes)
        yield call["number"], call["method"], call["params"]


def tell(number, error, result):
    """What became of a call."""
    outcome = {"number": number, "error": _plain(error), "result": _plain(result)}
    print(json.dumps(outcome), flush=True)


def _with_bytes(table):
    return bytes.fromhex(table["hex"]) if table.keys() == {"hex"} else table


def _plain(value):
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _key(key):
    return key.decode() if isinstance(key, bytes) else key
