"""What is counted, and the page that Prometheus reads.

Counting is a dict's increment; prometheus-client only draws the page, once per scrape. Its own counters take a lock
each time, which the hot path need not pay: everything here runs on one thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from unbroken.domain.rate import Limit

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
LEAKED: Final = "TOKEN_LEAKED"
LINKS_HELD: Final = "LINKS_HELD"
ALARMS: Final = ("AUTH_CODE_USED", "INSTALL_CLONED", "INSTALL_KEY_UNPROVEN", LEAKED, "LINK_BURST", LINKS_HELD)
"""A code shown by a second install, a credential that was spent shown again, one shown without its install's key, a
secret reported as found somewhere; more installs of an account than it may have in a day, more link calls of a key than
it may make in a minute."""

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """The counts of one process.

    Attributes:
        requests: by (route, status); a route is its template, never the caller's own text.
        links: link calls by error code, or "linked".
        alarms: what somebody should look at, by what it is.
        limited: calls that came too often, by the limit that refused them.
    """

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.uploads = 0
        self.upload_bytes = 0
        self.links: defaultdict[str, int] = defaultdict(int)
        self.alarms: dict[str, int] = dict.fromkeys(ALARMS, 0)
        self.limited: defaultdict[Limit, int] = defaultdict(int)
        self._durations: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (len(BUCKETS_S) + 2))
        self._gauges: dict[str, tuple[str, Callable[[], float]]] = {}
        self._counters: dict[str, tuple[str, Callable[[], float]]] = {}
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.registry.register(self)

    def request(self, route: str, status: int, duration_s: float) -> None:
        """Count one request that was answered."""
        self.requests[route, status] += 1
        counts = self._durations[route]
        counts[bisect_left(BUCKETS_S, duration_s)] += 1
        counts[-1] += duration_s

    def upload(self, body_bytes: int) -> None:
        """Count one acknowledged upload."""
        self.uploads += 1
        self.upload_bytes += body_bytes

    def link(self, outcome: str) -> None:
        """Count one link call by what came of it; the error codes are those of the decision table."""
        self.links[outcome] += 1

    def alarm(self, what: str, count: int = 1) -> None:
        """Count what may be an attack; what else is handed in is none."""
        if what in self.alarms:
            self.alarms[what] += count

    def refused_by(self, limit: Limit) -> None:
        """Count one call that came too often."""
        self.limited[limit] += 1

    def gauge(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """Show a value that is read when the page is."""
        self._gauges[name] = (meaning, read)

    def counter(self, name: str, meaning: str, read: Callable[[], float]) -> None:
        """The same of one that only grows; the page adds `_total` to its name."""
        self._counters[name] = (meaning, read)

    def page(self) -> bytes:
        """The page in Prometheus' text format."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """See `prometheus_client.registry.Collector`."""
        requests = CounterMetricFamily("unbroken_requests", "Requests answered.", labels=["route", "status"])
        for (route, status), count in sorted(self.requests.items()):
            requests.add_metric([route, str(status)], count)
        yield requests
        yield self._latency()
        yield CounterMetricFamily("unbroken_uploads", "Uploads acknowledged.", value=self.uploads)
        yield CounterMetricFamily("unbroken_upload_bytes", "Bytes of them, as they came.", value=self.upload_bytes)
        links = CounterMetricFamily("unbroken_links", "Link calls decided.", labels=["outcome"])
        for outcome, count in sorted(self.links.items()):
            links.add_metric([outcome], count)
        yield links
        alarms = CounterMetricFamily("unbroken_alarms", "Signs of a credential in wrong hands.", labels=["what"])
        for what, count in self.alarms.items():
            alarms.add_metric([what], count)
        yield alarms
        limited = CounterMetricFamily("unbroken_rate_limited", "Calls that came too often.", labels=["limit"])
        for limit, count in sorted(self.limited.items()):
            limited.add_metric([limit.name.lower()], count)
        yield limited
        for name, (meaning, read) in self._gauges.items():
            yield GaugeMetricFamily(name, meaning, value=read())
        for name, (meaning, read) in self._counters.items():
            yield CounterMetricFamily(name, meaning, value=read())

    def _latency(self) -> HistogramMetricFamily:
        latency = HistogramMetricFamily("unbroken_request_seconds", "Time to answer.", labels=["route"])
        for route, counts in sorted(self._durations.items()):
            buckets, total = [], 0.0
            for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), counts, strict=False):
                total += count
                buckets.append((bound, total))
            latency.add_metric([route], buckets, sum_value=counts[-1])
        return latency
