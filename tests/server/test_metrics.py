"""Metrics: the text that Prometheus reads, labels that no client can multiply, the list in docs."""

import os
import re
import resource
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.server.exposition import Counter, Gauge, Histogram, Instrument, Total, render
from sandbox.server.metrics import Metrics
from sandbox.spec.result import Result

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/operations.md"
RESULT = Result(
    "exited", 0, None, (), 0.05, 0.05, 0.0, 0.5, 1 << 20, {}, 1, 0.0, 0, 0, 0, 0, 0, {}, {}, {},
    {}, {}, {},
)  # fmt: skip
# One sample of the text format 0.0.4: name, labels, value.
SAMPLE = re.compile(
    r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\})? (-?[0-9.e+-]+|\+Inf)'
)


def samples(text: str) -> dict[str, float]:
    """Every sample, by its name and labels; the text must be nothing but well-formed."""
    found = {}
    assert text.endswith("\n") and text.encode()
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith(("# HELP ", "# TYPE ")):
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        key = line.rpartition(" ")[0]
        assert key not in found, f"{key} is there twice"
        found[key] = float(match[3])
    return found


def test_a_job_is_counted_by_tenant_verdict_and_phase() -> None:
    metrics = Metrics()
    metrics.job_ended("judge", RESULT, None, queued_seconds=0.0, start_seconds=0.002)
    metrics.job_ended("judge", None, "lost", queued_seconds=3.0, start_seconds=None)
    found = samples(metrics.text())
    assert found['sandbox_jobs_total{tenant="judge",verdict="exited"}'] == 1
    assert found['sandbox_jobs_total{tenant="judge",verdict="lost"}'] == 1
    assert found['sandbox_job_seconds_count{phase="queued"}'] == 2
    assert found['sandbox_job_seconds_sum{phase="wall"}'] == 0.5
    assert found['sandbox_job_seconds_bucket{phase="wall",le="0.2"}'] == 0
    assert found['sandbox_job_seconds_bucket{phase="wall",le="0.5"}'] == 1
    assert found['sandbox_job_seconds_bucket{phase="start",le="0.002"}'] == 1
    assert 'sandbox_job_seconds_count{phase="cpu"}' in found


def test_what_counts_without_labels_is_there_from_the_start() -> None:
    found = samples(Metrics().text())
    assert found["sandbox_journal_seconds_count"] == 0
    assert "sandbox_jobs_running" not in found, "nobody has said how to read it"


def test_a_gauge_is_read_when_the_text_is_asked_for() -> None:
    metrics = Metrics()
    running = [1]
    metrics.jobs_running.read = lambda: running[0]
    assert samples(metrics.text())["sandbox_jobs_running"] == 1
    running[0] = 2
    assert samples(metrics.text())["sandbox_jobs_running"] == 2


def test_a_gauge_that_cannot_be_read_costs_only_itself() -> None:
    def fail() -> float:
        raise OSError(24, "Too many open files")

    text = render([Gauge("a", "means a", fail), Total("b", "means b", lambda: 1)])
    assert samples(text) == {"b": 1}


def test_a_label_takes_so_many_values_and_the_rest_is_other() -> None:
    counter = Counter("c", "means c", ("tenant", "verdict"), most_values=3)
    for number in range(1000):
        counter.add(f"t{number}", "exited")
    counter.add("t0", "exited")
    assert samples(render([counter])) == {
        'c{tenant="t0",verdict="exited"}': 2,
        'c{tenant="t1",verdict="exited"}': 1,
        'c{tenant="t2",verdict="exited"}': 1,
        'c{tenant="other",verdict="exited"}': 997,
    }
    histogram = Histogram("h", "means h", (1,), ("tenant",), most_values=1)
    for number in range(10):
        histogram.observe(0.5, f"t{number}")
    assert samples(render([histogram]))['h_count{tenant="other"}'] == 9


@given(st.lists(st.text(max_size=9) | st.text('a"\\\n\ud800', max_size=9), max_size=20))
def test_any_label_value_is_one_sample_of_one_line(values: list[str]) -> None:
    counter = Counter("c", "means c", ("label",))
    for value in values:
        counter.add(value)
    assert sum(samples(render([counter])).values()) == len(values)


@given(st.lists(st.floats(min_value=0, max_value=1e6)))
def test_every_quantity_is_in_the_bucket_of_its_bound_and_all_above(
    quantities: list[float],
) -> None:
    bounds = (0.001, 1, 2.5, 100)
    histogram = Histogram("h", "means h", bounds)
    for quantity in quantities:
        histogram.observe(quantity)
    found = samples(render([histogram]))
    for bound in bounds:
        assert found[f'h_bucket{{le="{bound}"}}'] == sum(q <= bound for q in quantities)
    assert found['h_bucket{le="+Inf"}'] == found["h_count"] == len(quantities)
    assert found["h_sum"] == pytest.approx(sum(quantities))


def test_the_process_is_told_as_the_kernel_tells_it() -> None:
    found = samples(Metrics().text())
    assert found["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert found["process_open_fds"] == len(list(Path("/proc/self/fd").iterdir())) - 1
    assert found["process_resident_memory_bytes"] > 1 << 20
    assert 0 < found["process_cpu_seconds_total"] <= time.process_time()
    assert found["process_start_time_seconds"] <= time.time()
    fd = os.open("/dev/null", os.O_RDONLY)
    assert samples(Metrics().text())["process_open_fds"] == found["process_open_fds"] + 1
    os.close(fd)


def test_prometheus_own_parser_reads_the_text() -> None:
    parser = pytest.importorskip("prometheus_client.parser", reason="no prometheus_client here")
    metrics = Metrics()
    hostile = 'a"b\\c\nd'
    metrics.job_ended(hostile, RESULT, None, queued_seconds=0.1, start_seconds=0.1)
    metrics.refused.add("queue")
    metrics.bytes.add("sent", count=10)
    families = {
        family.name: family for family in parser.text_string_to_metric_families(metrics.text())
    }
    assert families["sandbox_jobs"].samples[0].labels["tenant"] == hostile
    assert families["sandbox_job_seconds"].type == "histogram"
    assert families["sandbox_bytes"].samples[0].value == 10
    for instrument in metrics.instruments:
        family = families[instrument.name.removesuffix("_total")]
        assert (family.type, family.documentation) == (instrument.kind, instrument.means)


def row(instrument: Instrument) -> str:
    labels = ", ".join(instrument.labels)
    return f"| `{instrument.name}` | {instrument.kind} | {labels} | {instrument.means} |"


def test_the_document_lists_every_metric() -> None:
    wanted = [row(instrument) for instrument in Metrics().instruments]
    pattern = re.compile(r"\| `(?:sandbox|process)_[a-z_]+` \| .*")
    listed = [line for line in DOCUMENT.read_text().splitlines() if pattern.fullmatch(line)]
    assert listed == wanted, "docs/operations.md: these rows belong there:\n" + "\n".join(wanted)
