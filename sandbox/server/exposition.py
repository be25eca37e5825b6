"""Counters, gauges and histograms, and their text for Prometheus: exposition format 0.0.4."""

import bisect
from collections.abc import Callable, Iterator, Sequence

__all__ = ["OTHER", "Counter", "Gauge", "Histogram", "Instrument", "Total", "render"]

OTHER = "other"

_MOST_LABEL_LENGTH = 100


class Instrument:
    """One family of series: a name, what it means, and the labels that tell its series apart.

    A label takes `most_values` different values; what comes after is counted as OTHER, so that no
    client can make the server remember more.
    """

    kind = ""

    def __init__(
        self, name: str, means: str, labels: Sequence[str] = (), most_values: int = 64
    ) -> None:
        self.name, self.means, self.labels = name, means, tuple(labels)
        self._most_values = most_values
        self._values: tuple[set[str], ...] = tuple(set() for _ in labels)

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """(suffix of the name, labels as text, value) of each sample now."""
        raise NotImplementedError

    def _bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        bounded = []
        for known, value in zip(self._values, values, strict=True):
            value = value[:_MOST_LABEL_LENGTH].encode("utf-8", "backslashreplace").decode()
            if value not in known and len(known) >= self._most_values:
                value = OTHER
            else:
                known.add(value)
            bounded.append(value)
        return tuple(bounded)

    def _text(self, values: tuple[str, ...], *more: tuple[str, str]) -> str:
        pairs = [*zip(self.labels, values, strict=True), *more]
        text = ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs)
        return f"{{{text}}}" if text else ""


class Counter(Instrument):
    """What only grows."""

    kind = "counter"

    def __init__(
        self, name: str, means: str, labels: Sequence[str] = (), most_values: int = 64
    ) -> None:
        super().__init__(name, means, labels, most_values)
        self._counts: dict[tuple[str, ...], float] = {} if labels else {(): 0}

    def add(self, *values: str, count: float = 1) -> None:
        """Count one more, or `count`, of these label values."""
        try:
            self._counts[values] += count
        except KeyError:
            values = self._bounded(values)
            self._counts[values] = self._counts.get(values, 0) + count

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """See `Instrument.samples`."""
        for values, count in self._counts.items():
            yield "", self._text(values), count


class Gauge(Instrument):
    """What is looked up when it is asked for; without `read`, and where it fails, not shown."""

    kind = "gauge"

    def __init__(self, name: str, means: str, read: Callable[[], float] | None = None) -> None:
        super().__init__(name, means)
        self.read = read

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """See `Instrument.samples`."""
        if self.read is not None:
            try:
                value = self.read()
            except OSError:  # no fd is left, or this /proc does not tell
                return
            yield "", "", value


class Total(Gauge):
    """What only grows, and is counted elsewhere."""

    kind = "counter"


class Histogram(Instrument):
    """How often a quantity was at most each of some bounds."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        means: str,
        bounds: Sequence[float],
        labels: Sequence[str] = (),
        most_values: int = 64,
    ) -> None:
        super().__init__(name, means, labels, most_values)
        self._bounds = tuple(bounds)
        self._series: dict[tuple[str, ...], list[float]] = {}
        if not labels:
            self._series[()] = self._empty()

    def observe(self, quantity: float, *values: str) -> None:
        """Count one more quantity."""
        series = self._series.get(values)
        if series is None:
            series = self._series.setdefault(self._bounded(values), self._empty())
        series[bisect.bisect_left(self._bounds, quantity)] += 1
        series[-1] += quantity

    def samples(self) -> Iterator[tuple[str, str, float]]:
        """See `Instrument.samples`."""
        for values, (*counts, total) in self._series.items():
            count = 0.0
            for bound, more in zip((*self._bounds, float("inf")), counts, strict=True):
                count += more
                yield "_bucket", self._text(values, ("le", _number(bound))), count
            yield "_sum", self._text(values), total
            yield "_count", self._text(values), count

    def _empty(self) -> list[float]:
        return [0] * (len(self._bounds) + 2)  # one above every bound, and the sum


def render(instruments: Sequence[Instrument]) -> str:
    """The text of all of them, as of now."""
    lines = []
    for instrument in instruments:
        lines.append(f"# HELP {instrument.name} {instrument.means}")
        lines.append(f"# TYPE {instrument.name} {instrument.kind}")
        for suffix, labels, value in instrument.samples():
            lines.append(f"{instrument.name}{suffix}{labels} {_number(value)}")
    return "\n".join((*lines, ""))


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(value)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
