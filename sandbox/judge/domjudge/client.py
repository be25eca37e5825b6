"""HTTP with DOMjudge's server: one request at a time, bounded in bytes and in time."""

from __future__ import annotations

import json
import random
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

import httpx
import trio

from sandbox.judge.domjudge.config import Backoff
from sandbox.judge.domjudge.credentials import Endpoint
from sandbox.spec.errors import ProtocolError, SandboxError, SpecError
from sandbox.spec.fields import printable

__all__ = ["HttpClient", "ServerError", "tls_context"]

_SHOWN_BYTES = 300
_AGAIN = frozenset({408, 425, 429})  # and all of 5xx: another time the same may work


class ServerError(SandboxError):
    """The server did not answer, or answered that it would not.

    `status`: None where there was no answer. `is_final`: trying again is of no use.
    """

    def __init__(self, problem: str, status: int | None = None, *, is_final: bool = False) -> None:
        super().__init__(problem)
        self.status = status
        self.is_final = is_final


class HttpClient:
    """Asks one server, as one user."""

    def __init__(
        self,
        endpoint: Endpoint,
        context: ssl.SSLContext,
        *,
        request_seconds: float,
        answer_bytes: int,
        backoff: Backoff,
    ) -> None:
        self._url = endpoint.url
        self._seconds, self._most_bytes, self._backoff = request_seconds, answer_bytes, backoff
        self._http = httpx.AsyncClient(
            auth=httpx.BasicAuth(endpoint.user, endpoint.password),
            verify=context,
            timeout=None,  # the whole exchange has one deadline, which slow bytes do not extend
            trust_env=False,  # no proxy, no .netrc: the password goes to the server that was named
            follow_redirects=False,
            headers={
                "Accept": "application/json",
                "Accept-Encoding": "identity",  # a bound on bytes is then one on memory
                "User-Agent": "sandbox-judge",
            },
        )

    async def request(
        self,
        method: str,
        path: str,
        *,
        form: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        most_bytes: int | None = None,
        attempts: int | None = None,
    ) -> Any:
        """What the server answers, as JSON; None where it answers with nothing.

        Tried again, later and later, where that may help. Raises ServerError; ProtocolError: the
        answer is larger than `most_bytes`, or compressed.
        """
        wait = self._backoff.first_seconds
        for left in range((attempts or self._backoff.attempts) - 1, -1, -1):
            try:
                return await self._once(method, path, form, query, most_bytes or self._most_bytes)
            except ServerError as error:
                if error.is_final or not left:
                    raise
            # Spread, so that a server that comes back is not met by all its judgehosts at once.
            await trio.sleep(wait * random.uniform(0.5, 1))
            wait = min(wait * 2, self._backoff.most_seconds)
        raise AssertionError("no attempt was made")

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.__aexit__(kind, error, traceback)

    async def _once(
        self,
        method: str,
        path: str,
        form: Mapping[str, str] | None,
        query: Mapping[str, str] | None,
        most_bytes: int,
    ) -> Any:
        what = f"{method} {path}"
        try:
            with trio.fail_after(self._seconds):
                async with self._http.stream(
                    method, f"{self._url}/{path}", data=form, params=query
                ) as response:
                    body = await _read_bounded(response, what, most_bytes)
        except trio.TooSlowError:
            raise ServerError(f"{what}: no answer within {self._seconds:g} s") from None
        except httpx.InvalidURL as error:
            raise ServerError(f"{what}: {error}", is_final=True) from error
        except httpx.HTTPError as error:
            raise ServerError(f"{what}: {_reason(error)}") from error
        if response.status_code // 100 != 2:
            _refuse(what, response, body)
        return _decode(what, body)


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Whom we believe to be the server: `ca_file` and no other, or else those of the system."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:
        raise SpecError("ca_file", f"{ca_file}: {getattr(error, 'strerror', error)}") from error


def _reason(error: BaseException) -> str:
    """The text of what went wrong first: what is wrapped around it has often none."""
    text, cause = str(error) or type(error).__name__, error.__context__
    while cause is not None:  # the context: httpcore breaks the chain of causes
        text, cause = str(cause) or text, cause.__context__
    return text


async def _read_bounded(response: httpx.Response, what: str, most_bytes: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ProtocolError(f"{what}: a compressed answer, which we did not ask for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > most_bytes:
            raise ProtocolError(f"{what}: an answer of over {most_bytes} bytes")
    return bytes(body)


def _decode(what: str, body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        # A page of something on the way, as a rule: gone the next time.
        raise ServerError(f"{what}: the answer is no JSON: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _refuse(what: str, response: httpx.Response, body: bytes) -> NoReturn:
    status = response.status_code
    text, may_retry = body[:_SHOWN_BYTES].decode(errors="replace"), True
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None  # a proxy's page: its text says enough
    if isinstance(answer, dict):
        text = str(answer.get("message", text))[:_SHOWN_BYTES]
        may_retry = answer.get("retry") is not False
    if status == 401:
        text += " (check the credentials)"
    if status // 100 == 3:
        text = f"it points to {response.headers.get('location', 'nowhere')}; name that URL itself"
    again = may_retry and (status // 100 == 5 or status in _AGAIN)
    raise ServerError(f"{what}: {status}: {printable(text)}", status, is_final=not again)
