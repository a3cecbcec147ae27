"""What a worker counts, for Prometheus on an internal port: plain numbers that cost a save next to nothing."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
ROWS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)


class Histogram:
    """Counts of values up to each bound."""

    def __init__(self, name: str, help_text: str, bounds: tuple[float, ...]) -> None:
        self.name, self.help_text, self.bounds = name, help_text, bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def family(self) -> Metric:
        totals = list(accumulate(self.counts))
        names = [*map(str, self.bounds), "+Inf"]
        return HistogramMetricFamily(
            self.name, self.help_text, buckets=list(zip(names, totals, strict=True)), sum_value=self.sum
        )


class Metrics:
    """The numbers of one process."""

    def __init__(self) -> None:
        self.saves = 0
        """Requests whose answers were committed."""
        self.shed = 0
        """Requests that were refused because too much waited, or the database was away."""
        self.save_seconds = Histogram("exam_save_seconds", "From arrival at the load balancer to commit.", SECONDS)
        self.round_rows = Histogram("exam_round_rows", "Answers in one flush of the answer log.", ROWS)
        self.round_seconds = Histogram("exam_round_seconds", "Duration of one flush of the answer log.", SECONDS)
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self.states: dict[str, int] = {}
        """Attempts by state; filled by the worker process."""

    def gauge(self, name: str, help_text: str, value: Callable[[], float]) -> None:
        """A number that is asked for when Prometheus asks."""
        self.gauges[name] = (help_text, value)

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily("exam_saves", "Saves that were committed.", value=self.saves)
        yield CounterMetricFamily("exam_shed", "Saves and starts that were put off.", value=self.shed)
        for histogram in (self.save_seconds, self.round_rows, self.round_seconds):
            yield histogram.family()
        for name, (help_text, value) in self.gauges.items():
            yield GaugeMetricFamily(name, help_text, value=value())
        if self.states:
            family = GaugeMetricFamily("exam_attempts", "Attempts of these days by state.", labels=["state"])
            for state, count in self.states.items():
                family.add_metric([state], count)
            yield family

    def serve(self, port: int, address: str = "127.0.0.1") -> None:
        """Answers Prometheus on `port`, in a thread of its own."""
        registry = CollectorRegistry()
        registry.register(self)
        start_http_server(port, address, registry)
