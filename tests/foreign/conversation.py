"""What a test says to a foreign client, and hears from it, through the program that uses it."""

import itertools
import json
import subprocess
from collections.abc import Callable
from typing import Any

__all__ = ["Conversation", "RefusedCall"]


class RefusedCall(Exception):
    """The server has answered a call with this error, as far as the client tells it."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.error = error


class Conversation:
    """One connection of a foreign client."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._told: list[dict[str, Any]] = []  # read before somebody asked for it

    def call(self, method: str, **params: Any) -> Any:
        """The answer. Raises RefusedCall."""
        return self.finish(self.begin(method, **params))

    def begin(self, method: str, **params: Any) -> int:
        """Make a call; its number."""
        call = {"number": next(self._numbers), "method": method, "params": _sent(params)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(call).encode() + b"\n")
        self._process.stdin.flush()
        return call["number"]

    def finish(self, number: int) -> Any:
        """The answer to that call. Raises RefusedCall."""
        line = self._wait_for(lambda line: line.get("number") == number)
        if line["error"] is not None:
            raise RefusedCall(line["error"])
        return line["result"]

    def pushed(self, method: str) -> Any:
        """The params of the next notification of that name."""
        return self._wait_for(lambda line: line.get("pushed") == method)["params"]

    def _wait_for(self, is_it: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        for line in self._told:
            if is_it(line):
                self._told.remove(line)
                return line
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = json.loads(text, object_hook=_with_bytes)
            if is_it(line):
                return line
            self._told.append(line)
        raise AssertionError("the client has ended; its stderr, above, may tell why")


def _sent(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {key: _sent(item) for key, item in value.items()}
    return [_sent(item) for item in value] if isinstance(value, list) else value


def _with_bytes(table: dict[str, Any]) -> Any:
    return bytes.fromhex(table["hex"]) if table.keys() == {"hex"} else table
