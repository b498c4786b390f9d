from __future__ import annotations

from contextlib import suppress

import httpx
import pytest

from unbroken.randomness import SeededRandomness
from unbroken.testing.clock import LabClock
from unbroken.testing.network import BAD, DOWN, GOOD, Conditions, Fate, Network

UPLOAD = "http://127.0.0.1:1/sdk/payloads"


class Carrier(httpx.BaseTransport):
    """The platform's end: remembers what it got, answers with how many that were."""

    def __init__(self):
        self.seen = []

    def handle_request(self, request):
        self.seen.append((request.headers["Lab-Time"], request.url.path, request.read()))
        return httpx.Response(200, content=str(len(self.seen)).encode())


@pytest.fixture
def clock():
    return LabClock(1_000_000)


@pytest.fixture
def carrier():
    return Carrier()


def client(clock, carrier, conditions, seed=1):
    return httpx.Client(transport=Network(clock, SeededRandomness(seed), carrier, conditions))


def test_a_good_network_delivers_and_tells_the_platform_the_time(clock, carrier):
    reply = client(clock, carrier, GOOD).post(UPLOAD, content=b"body")
    assert reply.text == "1"
    assert carrier.seen == [("1000000", "/sdk/payloads", b"body")]


def test_a_lost_request_never_arrives(clock, carrier):
    with pytest.raises(httpx.ConnectTimeout):
        client(clock, carrier, Conditions(lost=1)).post(UPLOAD)
    clock.advance_to(10**12)
    assert carrier.seen == []


def test_a_lost_reply_leaves_its_effect(clock, carrier):
    with pytest.raises(httpx.ReadTimeout):
        client(clock, carrier, Conditions(reply_lost=1)).post(UPLOAD, content=b"x")
    assert len(carrier.seen) == 1


def test_a_repeated_request_arrives_twice_alike_and_the_last_reply_counts(clock, carrier):
    reply = client(clock, carrier, Conditions(repeated=1)).post(UPLOAD, content=b"x")
    assert carrier.seen[0] == carrier.seen[1]
    assert len(carrier.seen) == 2
    assert reply.text == "2"


def test_a_late_upload_arrives_later_with_the_time_of_its_arrival(clock, carrier):
    with pytest.raises(httpx.ReadTimeout):
        client(clock, carrier, Conditions(late=1, late_max_s=600)).post(UPLOAD, content=b"x")
    assert carrier.seen == []
    clock.advance_to(1_000_000 + 600_000)
    ((at, _, body),) = carrier.seen
    assert 1_000_000 <= int(at) <= 1_600_000
    assert body == b"x"


def test_late_uploads_overtake_each_other(clock, carrier):
    device = client(clock, carrier, Conditions(late=1))
    for number in range(12):
        with pytest.raises(httpx.ReadTimeout):
            device.post(UPLOAD, content=b"%d" % number)
    clock.advance_to(10**12)
    arrived = [int(body) for _, _, body in carrier.seen]
    assert sorted(arrived) == list(range(12))
    assert arrived != list(range(12))


def test_what_is_no_upload_is_lost_instead_of_late(clock, carrier):
    with pytest.raises(httpx.ConnectTimeout):
        client(clock, carrier, Conditions(late=1)).post("http://127.0.0.1:1/sdk/tokens")
    clock.advance_to(10**12)
    assert carrier.seen == []


def test_without_a_network_nothing_arrives_and_a_change_holds_at_once(clock, carrier):
    network = Network(clock, SeededRandomness(1), carrier, DOWN)
    device = httpx.Client(transport=network)
    with pytest.raises(httpx.ConnectError):
        device.get(UPLOAD)
    network.conditions = GOOD
    assert device.get(UPLOAD).text == "1"


def test_a_seed_names_the_faults(clock, carrier):
    def fates(seed):
        network = Network(clock, SeededRandomness(seed), carrier, BAD)
        device, drawn = httpx.Client(transport=network), []
        for _ in range(200):
            before = network.fates.copy()
            with suppress(httpx.TransportError):
                device.post(UPLOAD)
            drawn.append(next(iter(network.fates - before)))
        return drawn

    assert fates(1) == fates(1)
    assert fates(1) != fates(2)
    assert set(fates(1)) == set(Fate)


@pytest.mark.parametrize("shares", [{"lost": 0.6, "late": 0.5}, {"repeated": -0.1}])
def test_shares_that_are_no_shares_are_refused(shares):
    with pytest.raises(ValueError, match="together at most 1"):
        Conditions(**shares)


@pytest.mark.parametrize(
    ("fraction", "fate"),
    [
        (0.0, Fate.LOST),
        (0.09, Fate.LOST),
        (0.15, Fate.REPLY_LOST),
        (0.25, Fate.REPEATED),
        (0.35, Fate.LATE),
        (0.45, Fate.DELIVERED),
    ],
)
def test_the_shares_divide_the_draw(fraction, fate):
    assert Conditions(lost=0.1, reply_lost=0.1, repeated=0.1, late=0.1).fate(fraction) is fate
