"""Where a request comes from: whose word is taken for it."""

from __future__ import annotations

import tracemalloc
from ipaddress import ip_address

import pytest

from unbroken.server.addresses import Addresses, networks

PROXIES = "10.0.0.0/8, 192.0.2.9, fd00::/8, 127.0.0.1, ::1"


def of(peer, *forwarded, trusted=PROXIES):
    headers = [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    scope = {"client": (peer, 51_034), "headers": [(b"host", b"x"), *headers]}
    return Addresses(networks(trusted)).of(scope)


def four(text):
    return ip_address(text).packed


def site(text):
    return ip_address(text).packed[:8]


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", (), four("203.0.113.7")),
        ("203.0.113.7", ("198.51.100.1",), four("203.0.113.7")),  # not ours to believe
        ("203.0.113.7", ("127.0.0.1",), four("203.0.113.7")),
        ("10.1.1.1", ("198.51.100.1",), four("198.51.100.1")),
        ("::ffff:10.1.1.1", ("198.51.100.1",), four("198.51.100.1")),
        ("10.1.1.1", ("::ffff:198.51.100.1",), four("198.51.100.1")),
        ("::ffff:203.0.113.7", (), four("203.0.113.7")),
        (
            "10.1.1.1",
            ("127.0.0.1, 198.51.100.1",),
            four("198.51.100.1"),
        ),  # forged by the caller, before our proxy wrote
        ("10.1.1.1", ("1.1.1.1, 198.51.100.1, 10.2.2.2",), four("198.51.100.1")),
        ("10.1.1.1", ("1.1.1.1, 198.51.100.1", "10.2.2.2"), four("198.51.100.1")),
        ("fd00::1", ("2001:db8:1:2:3:4:5:6",), site("2001:db8:1:2::")),
        ("2001:db8:1:2::9", (), site("2001:db8:1:2:3:4:5:6")),
        ("10.1.1.1", ("198.51.100.1:4711",), four("198.51.100.1")),
        ("10.1.1.1", ("[2001:db8:1:2::9]:4711",), site("2001:db8:1:2::")),
        ("10.1.1.1", (), four("10.1.1.1")),
        ("10.1.1.1", ("unknown",), four("10.1.1.1")),
        ("10.1.1.1", ("198.51.100.1, unknown",), four("10.1.1.1")),
        ("10.1.1.1", ("\xff\xfe, , ",), four("10.1.1.1")),
        ("10.1.1.1", ("10.2.2.2",), four("10.2.2.2")),
        ("192.0.2.9", ("198.51.100.1",), four("198.51.100.1")),
        ("192.0.2.8", ("198.51.100.1",), four("192.0.2.8")),
        ("fe80::1%eth0", (), site("fe80::1")),
    ],
)
def test_the_first_address_that_is_no_trusted_proxys_counts(peer, forwarded, found):
    assert of(peer, *forwarded) == found


@pytest.mark.parametrize(
    ("peer", "forwarded"),
    [
        ("127.0.0.1", ()), ("::1", ()), ("127.8.9.10", ()), ("::ffff:127.0.0.1", ()), ("127.0.0.1", ("127.0.0.1",)),
        ("127.0.0.1", ("::1",)), ("a unix socket", ()),
    ],
)  # fmt: skip
def test_a_caller_on_this_machine_is_not_counted(peer, forwarded):
    assert of(peer, *forwarded) is None


def test_a_proxy_on_this_machine_speaks_for_others_where_it_is_trusted():
    assert of("127.0.0.1", "198.51.100.1") == four("198.51.100.1")
    assert of("127.0.0.1", "198.51.100.1", trusted="") is None


def test_of_a_long_header_the_end_counts_and_no_part_of_an_address():
    assert of("10.1.1.1", "x" * 60_000 + ",198.51.100.1") == four("198.51.100.1")
    assert of("10.1.1.1", "2001:db8::1, " + ", ".join(["10.2.2.2"] * 51)) == four("10.2.2.2")


@pytest.mark.parametrize("peer", ["203.0.113.7", "10.1.1.1"])
def test_long_headers_of_strangers_are_not_remembered(peer):
    addresses = Addresses(networks(PROXIES))
    tracemalloc.start()
    try:
        for number in range(500):
            headers = [(b"x-forwarded-for", b"%d" % number * 20_000)]
            addresses.of({"client": (peer, 1), "headers": headers})
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "times"),
    [
        ("127.0.0.1", ["198.51.100.1"], "", 1),
        ("127.0.0.1", [], "", 0),
        ("203.0.113.7", ["198.51.100.1"], "", 0),
        ("127.0.0.1", ["198.51.100.1"], PROXIES, 0),
    ],
)
def test_a_proxy_on_this_machine_that_nobody_named_is_warned_of_once(log_output, peer, forwarded, trusted, times):
    addresses = Addresses(networks(trusted))
    for _ in range(3):
        addresses.of({"client": (peer, 1), "headers": [(b"x-forwarded-for", text.encode()) for text in forwarded]})
    assert log_output.getvalue().count("UNBROKEN_TRUSTED_PROXIES") == times


def test_connections_of_a_trusted_proxy_are_not_counted():
    addresses = Addresses(networks(PROXIES))
    assert addresses.of_peer("10.1.1.1") is None
    assert addresses.of_peer("127.0.0.1") is None
    assert addresses.of_peer("203.0.113.7") == four("203.0.113.7")


@pytest.mark.parametrize("text", ["10.0.0.0/33", "example.com", "10.0.0.1/8", "10.0.0.0/8;fd00::/8"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        networks(text)
