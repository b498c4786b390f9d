"""Metrics: what is counted, under labels that no caller chooses."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from unbroken.domain.rate import Limit
from unbroken.server.metrics import Metrics

HOW_TO = Path(__file__).parents[3] / "docs/how-to/run-as-a-service.md"


def test_the_labels_that_the_how_to_names_are_those_of_the_page():
    metrics = Metrics()
    metrics.link("linked")
    metrics.request("GET /health/live", 503, 0.1)
    metrics.refused_by(Limit.INSTALL)
    families = text_string_to_metric_families(metrics.page().decode())
    labels = {sample.name: set(sample.labels) for family in families for sample in family.samples}
    named = re.findall(r"(unbroken_\w+)\{(\w+)=", HOW_TO.read_text())
    assert named
    for name, label in named:
        assert label in labels[name], name


def samples(metrics):
    families = text_string_to_metric_families(metrics.page().decode())
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_requests_are_counted_by_row_and_status(world):
    async def step(opened):
        await opened.api.send("GET", "/things/secret-1")
        await opened.api.send("GET", "/things/secret-2")
        await opened.api.send("GET", "/secret-3")
        return opened.api.metrics

    metrics = world(step)
    found = samples(metrics)
    assert found["unbroken_requests_total", "200", "GET /things/{thing_id}"] == 2
    assert found["unbroken_requests_total", "404", "unmatched"] == 1
    assert b"secret" not in metrics.page()


def test_the_latency_histogram_is_cumulative():
    metrics = Metrics()
    for duration_s in (0.0005, 0.002, 0.03, 99.0):
        metrics.request("GET /x", 200, duration_s)
    found = samples(metrics)
    assert found["unbroken_request_seconds_bucket", "0.001", "GET /x"] == 1
    assert found["unbroken_request_seconds_bucket", "0.0025", "GET /x"] == 2
    assert found["unbroken_request_seconds_bucket", "10.0", "GET /x"] == 3
    assert found["unbroken_request_seconds_bucket", "+Inf", "GET /x"] == 4
    assert found["unbroken_request_seconds_count", "GET /x"] == 4
    assert abs(found["unbroken_request_seconds_sum", "GET /x"] - 99.0325) < 1e-9


def test_links_gauges_and_counters_are_shown():
    metrics = Metrics()
    metrics.link("linked")
    metrics.link("INSTALL_DELETED")
    metrics.gauge("unbroken_behind", "Partitions behind.", lambda: 3)
    metrics.counter("unbroken_seen", "Things seen.", lambda: 4)
    found = samples(metrics)
    assert found["unbroken_seen_total",] == 4
    assert found["unbroken_links_total", "linked"] == 1
    assert found["unbroken_behind",] == 3
