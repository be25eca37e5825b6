"""What the server counts of itself, for Prometheus."""

import os
import resource
import time
from pathlib import Path

from sandbox.server.exposition import Counter, Gauge, Histogram, Instrument, Total, render
from sandbox.spec.result import Result

__all__ = ["Metrics"]

_MOST_TENANTS = 200
# Of a job: from a millisecond, which one in a parked sandbox takes, to the hours of a build.
_JOB_SECONDS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200,
)  # fmt: skip
_JOURNAL_SECONDS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2)
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


class Metrics:
    """One of the server's; counting costs about a microsecond.

    Counters and histograms are fed where things happen. A gauge is given its `read`, and asked when
    the text is.
    """

    def __init__(self) -> None:
        self.jobs = Counter(
            "sandbox_jobs_total",
            "Jobs that ended, by tenant and verdict, or by the code of our own error.",
            ("tenant", "verdict"),
            _MOST_TENANTS,
        )
        self.jobs_running = Gauge("sandbox_jobs_running", "Jobs that run now.")
        self.jobs_queued = Gauge("sandbox_jobs_queued", "Jobs that wait to be admitted.")
        self.job_seconds = Histogram(
            "sandbox_job_seconds",
            "Of each job: queued, start (admitted until its payload ran), wall, cpu.",
            _JOB_SECONDS,
            ("phase",),
        )
        self.refused = Counter(
            "sandbox_refused_total", "Submits that were refused, by reason.", ("reason",)
        )
        self.connections = Gauge("sandbox_connections", "Connections that are open now.")
        self.calls = Counter("sandbox_calls_total", "Calls, by method.", ("method",))
        self.bytes = Counter(
            "sandbox_bytes_total", "Bytes on all connections: received, sent.", ("direction",)
        )
        self.pool_idle = Gauge("sandbox_pool_idle", "Sandboxes that are parked for jobs to come.")
        self.journal_seconds = Histogram(
            "sandbox_journal_seconds",
            "What each order waited for the journal, until it was as durable as asked.",
            _JOURNAL_SECONDS,
        )
        self.blob_bytes = Gauge("sandbox_blob_bytes", "Bytes of the blobs that are held.")
        self.log_dropped = Total(
            "sandbox_log_dropped_total", "Log lines that stderr did not take at once."
        )
        start_seconds = _start_seconds()
        self._process: tuple[Instrument, ...] = (
            Gauge("process_resident_memory_bytes", "Memory of the server's process.", _resident),
            Gauge("process_open_fds", "Open file descriptors of the server.", _open_fds),
            Gauge("process_max_fds", "How many it may have.", _most_fds),
            Total("process_cpu_seconds_total", "CPU time of the server.", time.process_time),
            Gauge(
                "process_start_time_seconds",
                "When it started, in unix time.",
                lambda: start_seconds,
            ),
        )

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """All of them, in the order of the text."""
        own = (value for value in vars(self).values() if isinstance(value, Instrument))
        return (*own, *self._process)

    def job_ended(
        self,
        tenant: str,
        result: Result | None,
        error_code: str | None,
        *,
        queued_seconds: float,
        start_seconds: float | None,
    ) -> None:
        """Count a job: by its result, or by the code of the error that it ended with."""
        self.jobs.add(tenant, result.verdict if result is not None else error_code or "internal")
        self.job_seconds.observe(queued_seconds, "queued")
        if start_seconds is not None:
            self.job_seconds.observe(start_seconds, "start")
        if result is not None:
            self.job_seconds.observe(result.wall_seconds, "wall")
            if result.cpu_seconds is not None:
                self.job_seconds.observe(result.cpu_seconds, "cpu")

    def text(self) -> str:
        """All of it as of now, in the text format 0.0.4. Some milliseconds."""
        return render(self.instruments)


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


def _open_fds() -> float:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) - 1  # the one that lists them


def _most_fds() -> float:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _start_seconds() -> float:
    # proc_pid_stat(5): field 22, in ticks since boot; the name before it may hold anything.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return round(time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / _TICKS, 2)
