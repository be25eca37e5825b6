"""The judge of a server, for the trio client."""

from __future__ import annotations

import math
import os
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import trio

from sandbox.client import judge_calls as calls
from sandbox.client.judge_calls import Event, Judgement, Judging
from sandbox.spec.errors import RefusedError

if TYPE_CHECKING:
    from sandbox.client.aio import AsyncClient
    from sandbox.client.operations import Steps

__all__ = ["AsyncJudgeClient", "AsyncJudgingHandle"]

T = TypeVar("T")


class AsyncJudgeClient:
    """As JudgeClient, over an AsyncClient, and its methods are awaited; many tasks may share it.

    >>> async def main():
    ...     async with AsyncClient() as client:
    ...         judge = AsyncJudgeClient(client)
    ...         judging = await judge.submit(package, {"double.py": b"print(2 * int(input()))"})
    ...         async for event in judging.events():
    ...             if event.event == "test":
    ...                 print(event.values["verdict"])
    ...         return await judging.result()
    >>> trio.run(main).verdict
    AC
    'AC'
    """

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    async def submit(
        self,
        problem: str | bytes | os.PathLike[str],
        files: Mapping[str, bytes | os.PathLike[str]],
        **options: Any,
    ) -> AsyncJudgingHandle:
        """Have a submission judged, and go on: a handle of it. As JudgeClient.submit."""
        if not isinstance(problem, str):
            problem = await self._client.blob(problem)
        sent, left_bytes = {}, calls.MOST_SENT_BYTES
        for name, content in files.items():
            if isinstance(content, bytes) and len(content) <= left_bytes:
                sent[name], left_bytes = content, left_bytes - len(content)
            else:
                sent[name] = {"blob": await self._client.blob(content)}
        found = await self._client.ask(calls.submit(problem, sent, options))
        return AsyncJudgingHandle(self._client, found.judging)

    def judging(self, judging: str) -> AsyncJudgingHandle:
        """A handle of one by its id; whether there is one shows at its first use."""
        return AsyncJudgingHandle(self._client, judging)

    async def judgings(self, state: str | None = None) -> AsyncIterator[Judging]:
        """Every one that the server knows of us, or those in a state, in brief; oldest first."""
        after = None
        while found := await self._client.ask(calls.judgings(state, after)):
            for judging in found:
                yield judging
            after = found[-1].judging

    async def languages(self, wait_seconds: float = 0.0) -> Mapping[str, Any]:
        """What can be compiled and run there. With `wait_seconds` (at most 60) it waits for the
        versions of the compilers.
        """
        return await self._client.ask(calls.languages(wait_seconds))


class AsyncJudgingHandle:
    """One judging, by its `id`. Every method raises NotFoundError if the server knows none."""

    def __init__(self, client: AsyncClient, judging: str) -> None:
        """Made by a AsyncJudgeClient."""
        self.id = judging
        self._client = client

    def __repr__(self) -> str:
        return f"AsyncJudgingHandle({self.id!r})"

    async def status(self) -> Judging:
        """What is known of it now."""
        return await self._client.ask(calls.status(self.id))

    async def wait(self, most_seconds: float | None = None) -> Judging:
        """Wait for its end, or at most so long: what is known of it then."""
        deadline = math.inf if most_seconds is None else trio.current_time() + most_seconds
        return await self._patiently(lambda: calls.end_of(self.id, trio.current_time, deadline))

    async def result(self) -> Judgement:
        """Wait for its end: the judgement. Raises what was wrong with the package, or with us;
        RefusedError: it was cancelled.
        """
        return await self._patiently(lambda: calls.result_of(self.id, trio.current_time))

    async def events(self, number: int = 0) -> AsyncIterator[Event]:
        """What happens in it, as it comes, from `number` on. As JudgingHandle.events."""
        is_end = False
        while not is_end:
            found = await self._patiently(lambda after=number: calls.more_events(self.id, after))
            for event in found.events:
                number = event.next_number
                yield event
            is_end = found.is_end

    async def cancel(self) -> None:
        """End it. One that is over stays as it is."""
        await self._client.ask(calls.cancel(self.id))

    async def rejudge(self, **options: Any) -> AsyncJudgingHandle:
        """Have the same files judged again: a handle of the other judging.

        Options: problem (the SHA-256 of another package), transcribes, key, label, priority.
        """
        found = await self._client.ask(calls.rejudge(self.id, options))
        return AsyncJudgingHandle(self._client, found.judging)

    async def delete(self) -> None:
        """Have the server forget it. Raises RefusedError: it has not ended."""
        await self._client.ask(calls.delete(self.id))

    async def _patiently(self, steps: Callable[[], Steps[T]]) -> T:
        """Carry out; where the server is about to end, the next one says the rest."""
        while True:
            try:
                return await self._client.do(steps())
            except RefusedError as error:
                if error.retry_after_seconds is None:
                    raise
                seconds = error.retry_after_seconds
            await trio.sleep(seconds)
