"""What the tests of the journal share: entries to note, and a journal to note them in."""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from sandbox.server.journal import Entry, Journal, open_journal


def job_id(number: int) -> str:
    return f"{number:022x}"


def entry(number: int, key: str | None = None, tenant: str = "uid-1", **changes: Any) -> Entry:
    return Entry(
        tenant=tenant,
        job=job_id(number),
        key=key,
        state="queued",
        label="a label",
        priority=-3,
        runs=0,
        most_runs=2,
        created_at=1000.0 + number,
        started_at=None,
        ended_at=None,
        request=b"request \x00\xff",
        outcome=None,
    )._replace(**changes)


def with_journal(path: Path, use: Callable[[Journal], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_journal(path) as journal:
            with trio.fail_after(60):
                await use(journal)

    trio.run(main)


async def over(journal: Journal, number: int, *, size: int = 0, state: str = "ended") -> None:
    """Accept and finish a job, at the second of its number, with an outcome of `size` bytes."""
    await journal.accept(entry(number, request=b""), power=False)
    await journal.finish(job_id(number), state, float(number), bytes(size), power=False)


def ids(entries: Iterable[Entry]) -> list[int]:
    return [int(each.job, 16) for each in entries]


@contextmanager
def commits_held(journal: Journal) -> Iterator[None]:
    """Nothing is committed, so nobody answered."""
    with journal._threads._commits:
        yield
