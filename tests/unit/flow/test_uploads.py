"""Uploads: taken whole, judged item by item, read again as they came."""

from __future__ import annotations

import json

import pytest
import zstandard

from unbroken import wire
from unbroken.domain.errors import InvalidRequest, TooLarge
from unbroken.flow import uploads

PAYLOAD_ID = "019ab3f0-6f00-7000-8000-0123456789ab"
FIX = {"kind": "location", "t": 1_790_000_000_000, "lat": 51.05, "lon": 3.72}


def body(*items, sent_at=1_790_000_001_000, payload_id=PAYLOAD_ID, **more):
    return json.dumps(
        {"sent_at": sent_at, "payloads": [{"payload_id": payload_id, "items": list(items)}], **more}
    ).encode()


def test_a_valid_upload_is_taken_whole():
    taken = uploads.take(
        body(FIX, {"kind": "activity", "t": 5, "type": "walking"}, {"kind": "custom", "t": 6, "name": "x", "data": {}})
    )
    assert taken.sent_at == 1_790_000_001_000
    assert taken.results == [wire.PayloadResult(PAYLOAD_ID, "stored", [])]


def test_a_plain_upload_is_taken_in_one_pass_as_it_is_in_several():
    plain = body(FIX, {**FIX, "acc": 12.5}, {"kind": "activity", "t": 5, "type": "walking"})
    assert uploads.take_plain(plain) == uploads.take(plain)


@pytest.mark.parametrize(
    "other",
    [
        body(FIX, {**FIX, "lat": 91}),
        body(FIX, {**FIX, "nested": [[]]}),
        body(FIX, battery={"level": [0.5]}),
        body({"kind": "custom", "t": 6, "name": "x", "data": {}}),
        body(FIX, payload_id="x"),
        body(FIX, payload_id=PAYLOAD_ID + "\n"),
        body(*[FIX] * 2001),
        json.dumps({"sent_at": 1, "payloads": []}).encode(),
        json.dumps({"sent_at": 1, "payloads": [{"payload_id": PAYLOAD_ID, "items": []}] * 33}).encode(),
        b"[" * 100_000,
        b"\xff",
        b"",
    ],
)
def test_whatever_is_not_plain_is_left_to_be_judged_item_by_item(other):
    assert uploads.take_plain(other) is None


INVALID = [
    {**FIX, "t": 10**30},
    {},
    7,
    None,
    [],
    {**FIX, "kind": "elsewhere"},
    {**FIX, "lat": 90.01},
    {**FIX, "lon": -180.5},
    {**FIX, "t": -1},
    {**FIX, "t": "now"},
    {**FIX, "t": 253_402_300_800_000},
    {**FIX, "acc": -1},
    {"kind": "location", "t": 1},
    {"kind": "activity", "t": 1, "type": "flying"},
    {"kind": "activity", "t": 1, "type": "still", "confidence": 1.5},
    {"kind": "custom", "t": 1, "name": "x"},
    {"kind": "custom", "t": 1, "name": "", "data": {}},
    {"kind": "custom", "t": 1, "name": "x", "data": []},
    {"kind": "custom", "t": 1, "name": "x", "data": {"a": "b" * 4096}},
]


@pytest.mark.parametrize("item", INVALID)
def test_an_item_that_is_not_valid_is_refused_alone(item):
    (result,) = uploads.take(body(FIX, item, FIX)).results
    assert [invalid.index for invalid in result.invalid] == [1]
    assert result.invalid[0].reason


@pytest.mark.parametrize("item", INVALID)
def test_what_was_refused_is_left_out_whenever_the_upload_is_read(item):
    kept = uploads.compress(body(FIX, item, {**FIX, "t": 9}))
    assert [one.item.t for one in uploads.items_of(kept)] == [FIX["t"], 9]
    sent_at, first_t, last_t = uploads.times_of(kept)
    assert sent_at == 1_790_000_001_000
    assert first_t <= 9
    assert FIX["t"] <= last_t < 2**63


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"sent_at":1}',
        b'{"sent_at":1,"payloads":[]}',
        b'{"sent_at":1,"payloads":{}}',
        b'{"sent_at":-1,"payloads":[]}',
        b'{"sent_at":1,"payloads":[{"payload_id":"x","items":[]}]}',
        b'{"sent_at":1,"payloads":[{"payload_id":7,"items":[]}]}',
        b'{"sent_at":1,"payloads":[{"payload_id":"019ab3f0-6f00-7000-8000-0123456789ab"}]}',
    ],
)
def test_an_upload_that_is_not_of_the_form_is_refused_whole(wrong):
    with pytest.raises(InvalidRequest):
        uploads.take(wrong)


def test_the_limits_are_32_payloads_and_2000_items():
    payload = {"payload_id": PAYLOAD_ID, "items": []}
    assert len(uploads.take(json.dumps({"sent_at": 1, "payloads": [payload] * 32}).encode()).results) == 32
    with pytest.raises(TooLarge):
        uploads.take(json.dumps({"sent_at": 1, "payloads": [payload] * 33}).encode())
    assert uploads.take(body(*[FIX] * 2000)).results
    with pytest.raises(TooLarge):
        uploads.take(body(*[FIX] * 2001))


def test_a_reason_quotes_no_value_of_any_length():
    (result,) = uploads.take(body({"kind": "x" * 100_000, "t": 5})).results
    assert 0 < len(result.invalid[0].reason) <= 300

    with pytest.raises(InvalidRequest) as refused:
        uploads.take(json.dumps({"sent_at": 5, "payloads": [{"payload_id": "y" * 100_000, "items": 5}]}).encode())
    assert all(len(reason) <= 300 for _, reason in refused.value.details)


def test_an_item_has_one_identity_however_its_members_are_ordered():
    def identity(item):
        (one,) = uploads.items_of(uploads.compress(body(item)))
        return one.identity

    custom = {"kind": "custom", "t": 1, "name": "x", "data": {"a": 1, "b": {"c": 2, "d": 3}}}
    turned = {"data": {"b": {"d": 3, "c": 2}, "a": 1}, "name": "x", "t": 1, "kind": "custom"}
    assert identity(custom) == identity(turned)
    assert identity(FIX) == identity({**FIX, "unknown": True})
    assert identity(FIX) == identity({**FIX, "acc": None})
    assert identity(FIX) != identity({**FIX, "acc": 0})
    assert identity({**FIX, "lat": 51}) == identity({**FIX, "lat": 51.0})


def test_an_item_is_given_back_as_it_came():
    raw = '{"unknown": [1], "kind":"location","t":5,"lat":1,"lon":2}'
    content = body(FIX).replace(json.dumps(FIX).encode(), raw.encode())
    (one,) = uploads.items_of(uploads.compress(content))
    assert one.raw == raw.encode()


def test_a_body_that_a_client_compressed_without_its_size_is_read_again():
    compressor = zstandard.ZstdCompressor(write_content_size=False)
    assert uploads.decompress(compressor.compress(body(FIX))) == body(FIX)


def test_numbers_beyond_what_a_float_holds_are_no_numbers():
    content = body({**FIX, "alt": 0}).replace(b'"alt": 0', b'"alt": 1e999')
    (result,) = uploads.take(content).results
    assert len(result.invalid) == 1
