"""HTTP by hand, against bytes that a host may send."""

from __future__ import annotations

import asyncio
import zlib

import pytest
import zstandard

from unbroken.attack.chapters.bombs import gzip_of_zeros, zstd_of_zeros
from unbroken.attack.chapters.credentials import flipped, relabelled, relived, renamed, resealed
from unbroken.attack.chapters.framing import judge
from unbroken.attack.chapters.timing import auc, limit
from unbroken.attack.exchange import NoReply, Reply, Request, asking, host_of, read_reply
from unbroken.credentials import Kind, Signed, Vault, read_opaque, write_opaque
from unbroken.domain.ids import AppId, InstallId

VAULT = Vault(b"p" * 32, b"s" * 32)
KEY = write_opaque(Kind.API_KEY, b"k" * 12, b"c" * 32)
TOKEN = VAULT.sign(Kind.USER_TOKEN, Signed(AppId(b"a" * 12), InstallId(b"i" * 12), 1_000))


def read(content, method="GET"):
    async def whole():
        reader = asyncio.StreamReader(limit=1 << 16)
        reader.feed_data(content)
        reader.feed_eof()
        return await read_reply(reader, method)

    return asyncio.run(whole())


def test_a_reply_is_read_by_its_length_by_chunks_or_to_the_end():
    head = b"HTTP/1.1 200 OK\r\nX-A: b\r\n"
    assert read(head + b"Content-Length: 2\r\n\r\n{}more").body == b"{}"
    assert read(head + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1;x\r\n}\r\n0\r\n\r\n").body == b"{}"
    assert read(head + b"\r\n{}").body == b"{}"
    assert read(head + b"Content-Length: 2\r\n\r\n", "HEAD").body == b""
    assert read(head + b"\r\n").header("x-a") == "b"
    assert read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n").status == 204


def test_a_connection_that_ends_before_a_reply_has_none():
    assert read(b"") is None


@pytest.mark.parametrize(
    "content",
    [
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 two OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_what_is_no_whole_reply_is_none(content):
    with pytest.raises(NoReply):
        read(content)


def test_a_request_goes_out_as_it_was_meant():
    content = asking("POST", "/a?b", "Bearer x", {"a": 1}, Idempotency_Key="k").encoded("h:1")
    assert content == (
        b"POST /a?b HTTP/1.1\r\nHost: h:1\r\nAuthorization: Bearer x\r\nIdempotency-Key: k\r\n"
        b'Content-Type: application/json\r\nContent-Length: 8\r\n\r\n{"a": 1}'
    )
    assert Request("GET", "/x\x0b").encoded("h") == b"GET /x\x0b HTTP/1.1\r\nHost: h\r\n\r\n"


def test_a_host_is_named_by_its_url():
    assert host_of("http://127.0.0.1:8080").authority == "127.0.0.1:8080"
    assert host_of("https://a.example/under/").prefix == "/under"
    assert host_of("https://a.example").authority == "a.example"
    assert host_of("http://[::1]:8080").authority == "[::1]:8080"
    assert host_of("https://a.example/under").encoded(Request("GET", "/x")).startswith(b"GET /under/x ")


@pytest.mark.parametrize("url", ["", "a.example", "ftp://a", "http://", "https://u:p@a", "https://a?b", "https://a#b"])
def test_what_is_no_url_of_a_platform_is_refused(url):
    with pytest.raises(ValueError, match=r"URL|port"):
        host_of(url)


def test_forged_credentials_are_well_formed_and_only_their_secret_is_wrong():
    assert read_opaque(flipped(KEY, 40)) is None
    forged = read_opaque(resealed(flipped(KEY[:-8], 40)))
    assert forged is not None
    assert forged.subject == b"k" * 12
    renewed = read_opaque(relabelled(KEY, Kind.INSTALL))
    assert renewed is not None
    assert renewed.kind is Kind.INSTALL
    for token in (renamed(TOKEN, "0" * 24), renamed(TOKEN, "0" * 24, at=0), relived(TOKEN)):
        assert len(token) == len(TOKEN)
        assert token != TOKEN
        assert VAULT.open(Kind.USER_TOKEN, token) is None


def test_bombs_are_valid_so_that_only_their_size_is_wrong():
    assert zlib.decompress(gzip_of_zeros(2), 31) == b"0" * (2 << 20)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(zstd_of_zeros(2)) == b"0" * (256 << 10)


def test_the_auc_of_equals_is_one_half_and_of_slower_ones_is_one():
    assert auc([1, 2, 3, 4], [1, 2, 3, 4]) == 0.5
    assert auc([5, 6], [1, 2, 3]) == 1.0
    assert auc([1, 2], [3]) == 0.0
    assert auc([1, 1, 2], [1, 1]) == pytest.approx(4 / 6)
    assert limit(10_000) < limit(100)


def test_a_hidden_request_that_is_answered_is_seen():
    refused, answered = Reply(400, (), b"{}"), Reply(200, (), b'{"openapi":"3.1.0"}')
    assert judge([]).held
    assert judge([refused]).held
    assert not judge([refused, refused]).held
    assert not judge([refused, answered]).held
    assert not judge([answered]).held
