"""A server's metrics for Prometheus; a registry per server, so that several can live in one process."""

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from streamrnn.runtime import PoolStatistics

TICK_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64)


class Metrics:
    """The metrics of one server.

    Attributes:
        connections: open WebSockets.
        received_s: seconds of sound taken, by model.
        events: by model and kind.
        errors: sent to clients, by code.
        ticks_s: duration of ticks with work, by model.
        stored: stream states stored.
        uploads: recordings, by outcome: done, refused or failed.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.connections = Gauge("streamrnn_connections", "WebSockets that are open", registry=self.registry)
        self.received_s = self._counter("streamrnn_received_seconds", "Seconds of sound taken", "model")
        self.events = self._counter("streamrnn_events", "Events decided", "model", "kind")
        self.errors = self._counter("streamrnn_errors", "Errors told to clients", "code")
        self.stored = Counter("streamrnn_stored", "States of streams that were stored", registry=self.registry)
        self.uploads = self._counter("streamrnn_uploads", "Recordings that were sent", "outcome")
        self.ticks_s = Histogram(
            "streamrnn_tick_seconds", "Time of ticks", ["model"], buckets=TICK_BUCKETS_S, registry=self.registry
        )
        ProcessCollector(registry=self.registry)

    def watch_pools(self, statistics: Callable[[], dict[str, PoolStatistics]]) -> None:
        """Reports the statistics of pools, by model, as of each scrape."""
        self.registry.register(_Pools(statistics))

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Adds a gauge that is read at each scrape."""
        Gauge(name, text, registry=self.registry).set_function(value)

    def as_text(self) -> bytes:
        """All metrics, in Prometheus's text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)


class _Pools:
    """The metrics of pools, computed at each scrape."""

    def __init__(self, statistics: Callable[[], dict[str, PoolStatistics]]):
        self._statistics = statistics

    def collect(self) -> Iterable[Metric]:
        found = self._statistics()
        for name, text, value in (
            ("streams", "Streams that are open", lambda s: s.streams),
            ("capacity", "Streams that there is room for without growing", lambda s: s.capacity),
            ("real_time_factor", "Time of ticks over the sound worked off", lambda s: s.real_time_factor),
            ("queue_age_seconds", "Longest time that sound has been waiting", lambda s: s.queue_age_ms / 1000),
        ):
            gauge = GaugeMetricFamily(f"streamrnn_{name}", text, labels=["model"])
            for model, statistics in found.items():
                gauge.add_metric([model], value(statistics))
            yield gauge
        missed = CounterMetricFamily(
            "streamrnn_missed_deadlines", "Ticks that took longer than the sound that they worked off", labels=["model"]
        )
        for model, statistics in found.items():
            missed.add_metric([model], statistics.missed_deadlines)
        yield missed


__all__ = ["Metrics"]
