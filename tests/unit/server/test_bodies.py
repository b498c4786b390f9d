"""Bodies: limits, encodings, media types, and JSON that is not what it seems."""

from __future__ import annotations

import gzip
import json
import zlib
from time import perf_counter

import pytest
import zstandard

from unbroken.server.document import depth

MIB = 1 << 20


def bomb(size: int) -> bytes:
    return b'"' + b"a" * (size - 2) + b'"'


def test_a_body_of_one_mebibyte_passes_and_one_more_byte_does_not(send):
    assert send("POST", "/echo", bomb(MIB)).status == 200
    reply = send("POST", "/echo", bomb(MIB + 1))
    assert (reply.status, reply.code) == (413, "TOO_LARGE")


def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(world):
    async def step(opened):
        reply = await opened.api.send("POST", "/echo", [b"x"] * 5, {"Content-Length": str(MIB + 1)})
        return reply, len(opened.api.unread)

    reply, unread = world(step)
    assert (reply.status, unread) == (413, 5)


def test_a_body_in_pieces_is_refused_once_it_is_too_large(world):
    async def step(opened):
        reply = await opened.api.send("POST", "/echo", [b" " * (MIB // 2)] * 9)
        return reply, len(opened.api.unread)

    reply, unread = world(step)
    assert (reply.status, unread) == (413, 6)


def test_a_body_in_pieces_is_put_together(send):
    assert send("POST", "/echo", [b'{"a"', b":", b"1}"]).json["body"] == {"a": 1}


def test_a_caller_that_goes_away_gets_no_reply_and_no_error(world):
    async def step(opened):
        gone = await opened.api.send("POST", "/echo", [])
        return gone.status, opened.api.calls

    assert world(step) == (0, [])


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "", "9" * 30])
def test_a_content_length_that_is_no_number_never_fails(send, length):
    assert send("POST", "/echo", b"1", {"Content-Length": length}).status in {200, 400, 413}


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [("gzip", gzip.compress), ("GZIP", gzip.compress), ("zstd", zstandard.compress), ("identity", bytes)],
)
def test_the_encodings_of_the_contract_are_undone(send, encoding, pack):
    reply = send("POST", "/echo", pack(b'{"a":[1,2]}'), {"Content-Encoding": encoding})
    assert reply.json["body"] == {"a": [1, 2]}


def test_zstd_without_a_declared_size_is_undone(send):
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    body = packer.compress(b'{"a":1}') + packer.flush()
    assert send("POST", "/echo", body, {"Content-Encoding": "zstd"}).json["body"] == {"a": 1}


def test_gzip_of_several_members_is_one_body(send):
    body = gzip.compress(b'{"a"') + gzip.compress(b":1}")
    assert send("POST", "/echo", body, {"Content-Encoding": "gzip"}).json["body"] == {"a": 1}


def test_gzip_of_too_many_members_is_refused(send):
    body, empty = gzip.compress(b'{"a":1}'), gzip.compress(b"")
    assert send("POST", "/echo", empty * 255 + body, {"Content-Encoding": "gzip"}).status == 200
    reply = send("POST", "/echo", empty * 256 + body, {"Content-Encoding": "gzip"})
    assert (reply.status, reply.code) == (413, "TOO_LARGE")


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, gzip", "zstd,gzip", "*"])
def test_other_encodings_are_refused(send, encoding):
    reply = send("POST", "/echo", b"{}", {"Content-Encoding": encoding})
    assert (reply.status, reply.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


def zstd_of_unknown_size(body: bytes) -> bytes:
    packer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress), ("zstd", zstd_of_unknown_size)]
)
def test_eight_mebibytes_come_out_and_not_one_byte_more(send, encoding, pack):
    assert send("POST", "/echo", pack(bomb(8 * MIB)), {"Content-Encoding": encoding}).status == 200
    reply = send("POST", "/echo", pack(bomb(8 * MIB + 1)), {"Content-Encoding": encoding})
    assert (reply.status, reply.code) == (413, "TOO_LARGE")


@pytest.mark.parametrize("size", [100 * MIB, 700 * MIB])
def test_a_bomb_does_not_grow_in_memory(send, size):
    packer, packed = zlib.compressobj(9, wbits=31), b""
    for _ in range(size // MIB):
        packed += packer.compress(b"\0" * MIB)
    packed += packer.flush()
    assert len(packed) < MIB
    assert send("POST", "/echo", packed, {"Content-Encoding": "gzip"}).status == 413


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
@pytest.mark.parametrize(
    "damage", [lambda b: b[:-5], lambda b: b[3:], lambda b: b[:0], lambda b: b[:0] + b"{}", lambda b: b + b"x"]
)
def test_a_body_that_is_not_of_its_encoding_is_refused(send, encoding, damage):
    pack = gzip.compress if encoding == "gzip" else zstandard.compress
    reply = send("POST", "/echo", damage(pack(b'{"a":1}' * 1)), {"Content-Encoding": encoding})
    assert (reply.status, reply.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize("more", [b"x", b"more", zstandard.compress(b'{"a":2}'), b"\x50\x2a\x4d\x18\x01\0\0\0x"])
@pytest.mark.parametrize("checksum", [False, True])
def test_nothing_may_follow_a_zstd_frame_that_does_not_tell_its_size(send, more, checksum):
    packer = zstandard.ZstdCompressor(write_content_size=False, write_checksum=checksum)
    bodies = [
        packer.compress(body) for body in (b'{"a":1}', b'{"a":"%b"}' % (b"0" * 300_000), b'{"a":"%b"}' % (b"01" * 9))
    ]
    for body in bodies:
        assert send("POST", "/echo", body, {"Content-Encoding": "zstd"}).status == 200
        reply = send("POST", "/echo", body + more, {"Content-Encoding": "zstd"})
        assert (reply.status, reply.code) == (400, "INVALID_REQUEST")


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "application/json; charset=utf-8",
        'Application/JSON;Charset="UTF-8"',
        "application/json;",
    ],
)
def test_json_is_taken_with_charset_or_without(send, kind):
    assert send("POST", "/echo", b"1", {"Content-Type": kind} if kind else {}).status == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "json", "\xff"]
)
def test_another_media_type_or_charset_is_refused(send, kind):
    reply = send("POST", "/echo", b"1", {"Content-Type": kind})
    assert (reply.status, reply.code) == (415, "UNSUPPORTED_MEDIA_TYPE")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"{}x", b"NaN", b"[Infinity]", b"-Infinity", b"'a'", b"\xff", b'"\xed\xa0\x80"', b'"\\ud800"',
     b'["\\udc00\\ud800"]', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), b"[1e999]", b'{"a":1,}', b"\x00"],
)  # fmt: skip
def test_what_is_no_json_in_utf8_is_refused(send, body):
    reply = send("POST", "/echo", body)
    assert (reply.status, reply.code) == (400, "INVALID_REQUEST")


def test_a_number_of_many_digits_is_refused_or_taken_but_never_fails(send):
    assert send("POST", "/echo", b"[" + b"9" * 100_000 + b"]").status in {200, 400}


@pytest.mark.parametrize("body", [b'{"a":1,"a":1}', b'{"x":[{"a":1,"\\u0061":2}]}'])
def test_a_member_named_twice_is_refused_by_name(send, body):
    reply = send("POST", "/echo", body)
    assert (reply.status, reply.paths) == (400, ["a"])


def test_a_member_named_twice_is_found_among_many_in_one_pass(send):
    names = b",".join(b'"%d":0' % number for number in range(60_000))
    began_s = perf_counter()
    reply = send("POST", "/echo", b"{%b," % names + b'"twice":0,"twice":0}')
    assert (reply.status, reply.paths) == (400, ["twice"])
    assert perf_counter() - began_s < 5  # it is a fiftieth of that; pair by pair it was forty seconds


def test_a_name_that_is_no_text_can_be_there_twice_too(send):
    reply = send("POST", "/echo", rb'{"\ud800":1,"\ud800":2}')
    assert (reply.status, reply.code, reply.paths) == (400, "INVALID_REQUEST", ["?"])


def test_what_a_caller_wrote_is_not_taken_for_a_path_nor_told_at_length(send):
    written = "x" * 1000 + " - at `$.sdk`"
    body = {"device": {"platform": written}, "sdk": {"name": "x", "version": "1"}}
    reply = send("POST", "/register", json.dumps(body).encode())
    assert reply.paths == ["device.platform"]
    assert len(reply.body) < 600


def test_without_a_header_that_says_who_calls_a_body_has_64_kibibytes(world):
    def body(size: int) -> bytes:
        device = '"device":{"platform":"ios"},"sdk":{"name":"x","version":"1"}'
        given = '{%s,"authentication_code":"unb_code_x","more":"%s"}'
        return (given % (device, "y" * (size - len(given % (device, ""))))).encode()

    async def step(opened):
        return [
            await opened.api.send("POST", "/installs", pack(body(size)), headers)
            for size in (64 << 10, (64 << 10) + 1)
            for pack, headers in ((bytes, {}), (zstandard.compress, {"Content-Encoding": "zstd"}))
        ]

    assert [reply.status for reply in world(step)] == [200, 200, 413, 413]


def test_invalid_fields_are_told_with_their_path(send):
    reply = send("POST", "/register", b'{"device":{"platform":"toaster"},"sdk":{"name":"x","version":"1"}}')
    assert (reply.status, reply.code, reply.paths) == (400, "INVALID_REQUEST", ["device.platform"])


def test_unknown_members_are_ignored(send):
    body = {"device": {"platform": "ios", "x": 1}, "sdk": {"name": "x", "version": "1"}, "y": [1]}
    assert send("POST", "/register", json.dumps(body).encode()).status == 200


def test_sixteen_layers_pass_and_seventeen_do_not(send):
    assert send("POST", "/echo", b"[" * 16 + b"]" * 16).status == 200
    assert send("POST", "/echo", b"[" + b"[]," * 20 + b"[]]").status == 200
    reply = send("POST", "/echo", b"[" * 17 + b"]" * 17)
    assert (reply.status, reply.code) == (413, "TOO_LARGE")


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 50_000, b"[" * 100_000 + b"]" * 100_000])
def test_a_very_deep_body_is_refused_without_recursion(send, body):
    assert send("POST", "/echo", body).status in {400, 413}


@pytest.mark.parametrize(
    ("document", "layers"),
    [
        ("1", 0),
        ('"[[[["', 0),
        ("[]", 1),
        ("[[],[]]", 2),
        ('{"a":{"b":[1,{}]}}', 4),
        (r'["]\"]", "[", {"[[": "\\"}]', 2),
        (r'["\"", ["\""]]', 2),
        ('["[","]",[["["]]]', 3),
        ('["a""b"]', 1),
    ],
)
def test_depth_counts_what_is_outside_of_text(document, layers):
    assert depth(document.encode(), 16) == layers


def test_depth_agrees_with_a_slow_count_on_any_document():
    from hypothesis import given
    from hypothesis import strategies as st

    text = st.text(alphabet='[]{}"\\ax')
    leaf = st.none() | text
    documents = st.recursive(leaf, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=20)

    def slow(value):
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
        return 0 if inner is None else 1 + max(map(slow, inner), default=0)

    @given(documents)
    def agrees(value):
        assert depth(json.dumps(value).encode(), 30) == slow(value)

    agrees()


def test_a_call_without_a_body_refuses_one_that_is_too_large(send):
    assert send("POST", "/wet", b"", {"Content-Length": str(2 * MIB)}).status == 413
