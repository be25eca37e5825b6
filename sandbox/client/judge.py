"""The judge of a server: submissions to problem packages, for the blocking client."""

from __future__ import annotations

import math
import time

from sandbox.client import judge_calls as calls
from sandbox.spec.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, TypeVar

    from sandbox.client.judge_calls import Event, Judgement, Judging
    from sandbox.client.operations import Steps
    from sandbox.client.sync import Client

    T = TypeVar("T")

__all__ = ["JudgeClient", "JudgingHandle"]


class JudgeClient:
    """What a Client is for jobs, for judgings, over the client that it is given.

    A connection that is lost is made again, and each submission is judged once: it has a key.

    >>> from sandbox import JudgeClient
    >>> judge = JudgeClient(client)
    >>> judging = judge.submit(package, {"double.py": b"print(2 * int(input()))"})
    >>> for event in judging.events():
    ...     if event.event == "test":
    ...         print(event.values["test"], event.values["verdict"])
    secret/1 AC
    >>> judging.result().verdict
    'AC'
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def submit(
        self,
        problem: str | bytes | os.PathLike[str],
        files: Mapping[str, bytes | os.PathLike[str]],
        **options: Any,
    ) -> JudgingHandle:
        """Have a submission judged, and go on: a handle of it.

        `problem`: an archive, as bytes or a Path, which is uploaded unless the server has it; or
        its SHA-256, as Client.blob gives it. `files`: by names, each as bytes or a Path.
        Options: language, entry_point, time_limit_seconds, all_tests, transcribes, key (the same
        key, the same judging), label, priority. Raises InvalidParamsError, RefusedError.
        """
        if not isinstance(problem, str):
            problem = self._client.blob(problem)
        sent, left_bytes = {}, calls.MOST_SENT_BYTES
        for name, content in files.items():
            if isinstance(content, bytes) and len(content) <= left_bytes:
                sent[name], left_bytes = content, left_bytes - len(content)
            else:
                sent[name] = {"blob": self._client.blob(content)}
        found = self._client.ask(calls.submit(problem, sent, options))
        return JudgingHandle(self._client, found.judging)

    def judging(self, judging: str) -> JudgingHandle:
        """A handle of one by its id; whether there is one shows at its first use."""
        return JudgingHandle(self._client, judging)

    def judgings(self, state: str | None = None) -> Iterator[Judging]:
        """Every one that the server knows of us, or those in a state, in brief; oldest first."""
        after = None
        while found := self._client.ask(calls.judgings(state, after)):
            yield from found
            after = found[-1].judging

    def languages(self, wait_seconds: float = 0.0) -> Mapping[str, Any]:
        """What can be compiled and run there. With `wait_seconds` (at most 60) it waits for the
        versions of the compilers.
        """
        return self._client.ask(calls.languages(wait_seconds))


class JudgingHandle:
    """One judging, by its `id`. Every method raises NotFoundError if the server knows none."""

    def __init__(self, client: Client, judging: str) -> None:
        """Made by a JudgeClient."""
        self.id = judging
        self._client = client

    def __repr__(self) -> str:
        return f"JudgingHandle({self.id!r})"

    def status(self) -> Judging:
        """What is known of it now."""
        return self._client.ask(calls.status(self.id))

    def wait(self, most_seconds: float | None = None) -> Judging:
        """Wait for its end, or at most so long: what is known of it then."""
        deadline = math.inf if most_seconds is None else time.monotonic() + most_seconds
        return self._patiently(lambda: calls.end_of(self.id, time.monotonic, deadline))

    def result(self) -> Judgement:
        """Wait for its end: the judgement. Raises what was wrong with the package, or with us;
        RefusedError: it was cancelled.
        """
        return self._patiently(lambda: calls.result_of(self.id, time.monotonic))

    def events(self, number: int = 0) -> Iterator[Event]:
        """What happens in it, until its end, as it comes; each test when it is judged.

        `number`: to go on where another has ended, the `next_number` of the last event there.
        `begun` says that what came before it is void: the server was killed meanwhile.
        """
        is_end = False
        while not is_end:
            found = self._patiently(lambda after=number: calls.more_events(self.id, after))
            for event in found.events:
                number = event.next_number
                yield event
            is_end = found.is_end

    def cancel(self) -> None:
        """End it. One that is over stays as it is."""
        self._client.ask(calls.cancel(self.id))

    def rejudge(self, **options: Any) -> JudgingHandle:
        """Have the same files judged again: a handle of the other judging.

        Options: problem (the SHA-256 of another package), transcribes, key, label, priority.
        """
        found = self._client.ask(calls.rejudge(self.id, options))
        return JudgingHandle(self._client, found.judging)

    def delete(self) -> None:
        """Have the server forget it. Raises RefusedError: it has not ended."""
        self._client.ask(calls.delete(self.id))

    def _patiently(self, steps: Callable[[], Steps[T]]) -> T:
        """Carry out; where the server is about to end, the next one says the rest."""
        while True:
            try:
                return self._client.do(steps())
            except RefusedError as error:
                if error.retry_after_seconds is None:
                    raise
                seconds = error.retry_after_seconds
            time.sleep(seconds)
