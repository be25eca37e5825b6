"""What a tenant that floods the daemon leaves to another one."""

from collections.abc import Sequence

from bench.caller import Caller, run_jobs
from bench.ratios import Goal
from bench.rounds import Figure, Measure
from bench.service import TENANTS, TRUE, Service

__all__ = ["fairness_figures"]

_FLOOD = 200  # jobs that one tenant keeps queued
_SOME = 8  # that the other one does, so that it wants more than it gets
_JOBS, _LONE_JOBS = 48, 12


def fairness_figures(service: Service) -> list[Figure]:
    """Two tenants of one weight: the flood is to leave the other one its half, about."""
    flooding, other = TENANTS
    flood = _callers(service, flooding, _FLOOD)
    some = _callers(service, other, _SOME)
    alone = _seconds(service, some[:1], _LONE_JOBS)
    beside = _seconds(service, some[:1], _LONE_JOBS, flood)
    return [
        Figure(
            f"jobs a second beside a flood, clients: {_SOME}",
            _rate(service, some, flood),
            {"without it": _rate(service, some)},
            Goal(0.4, 0.5, at_least=True),
        ),
        Figure("a lone job beside a flood", beside, {"without it": alone}),
        Figure("a lone job beside a flood, p99", beside, {"their p50": None}, quantile=0.99),
    ]


def _callers(service: Service, tenant: str, count: int) -> list[Caller]:
    where, token = service.daemon.tcp, service.tokens[tenant]
    return [Caller(where, token) for _ in range(count)]


def _rate(service: Service, callers: list[Caller], flood: Sequence[Caller] = ()) -> Measure:
    async def measure() -> Sequence[float]:
        run = run_jobs(callers, _JOBS, TRUE, flood)
        await service.settled()
        return [_JOBS / run.passed_seconds]

    return measure


def _seconds(
    service: Service, callers: list[Caller], jobs: int, flood: Sequence[Caller] = ()
) -> Measure:
    async def measure() -> Sequence[float]:
        run = run_jobs(callers, jobs, TRUE, flood)
        await service.settled()
        return run.seconds[1:]  # the first one may be there before the flood

    return measure
