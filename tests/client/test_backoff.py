"""Ever longer delays, and an end."""

from sandbox.client.backoff import Backoff


def test_delays_grow_and_end_with_the_time() -> None:
    backoff, now, delays = Backoff(30.0, 100.0), 100.0, []
    while (delay := backoff.delay_seconds(now)) is not None:
        delays.append(delay)
        now += delay
    assert now == 130.0
    assert delays[0] <= 0.05
    assert max(delays) <= 2.0
    assert len(delays) < 60


def test_no_time_is_no_delay() -> None:
    assert Backoff(0.0, 100.0).delay_seconds(100.0) is None
