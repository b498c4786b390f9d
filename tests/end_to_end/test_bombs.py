"""Bodies that are larger than they look, and JSON that readers disagree on: refused, and they take little memory."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from base64 import b64encode
from contextlib import closing
from pathlib import Path

import httpx
import pytest
import zstandard

from unbroken.testing.process import PlatformProcess

MIB = 1 << 20
GROWN_MAX_BYTES = 64 * MIB  # of all these, one after the other; one body may take 8 MiB, and what it is read into
PHONE = {"device": {"platform": "android"}, "sdk": {"name": "x", "version": "1"}}
ITEM = '{"kind": "location", "t": 1, "lat": 51, "lon": 3}'
UPLOAD = '{"sent_at": 1, "payloads": [{"payload_id": "0193f7a2-5c1e-7b3a-9d24-6f0e8a1b2c3d", "items": [%s]}]}'


class Target:
    def __init__(self, platform):
        self.platform = platform
        app = platform.command("app", "create", "Shop")
        self.client = httpx.Client(base_url=platform.base_url, timeout=30)
        self.basic = "Basic " + b64encode(f"{app['app_id']}:{app['app_secret']}".encode()).decode()
        reply = self.client.post("/sdk/installs", json=PHONE, headers={"Authorization": self.basic})
        self.bearer = "Bearer " + reply.json()["user_token"]["token"]

    def upload(self, body, encoding=""):
        return self._post("/sdk/payloads", body, self.bearer, encoding)

    def register(self, body, encoding=""):
        return self._post("/sdk/installs", body, self.basic, encoding)

    def _post(self, path, body, authorization, encoding):
        headers = {"Authorization": authorization, "Content-Type": "application/json"}
        headers |= {"Content-Encoding": encoding} if encoding else {}
        return self.client.post(path, content=body, headers=headers)

    def peak_bytes(self):
        (line,) = (
            line for line in Path(f"/proc/{self.platform.pid}/status").read_text().splitlines() if "VmHWM" in line
        )
        return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def target(tmp_path_factory):
    with PlatformProcess(tmp_path_factory.mktemp("bombs") / "data", lab=False) as platform:
        found = Target(platform)
        with closing(found.client):
            before = found.peak_bytes()
            yield found
            assert found.peak_bytes() - before < GROWN_MAX_BYTES


def zstd_without_size(content):
    return zstandard.ZstdCompressor(write_content_size=False).compress(content)


def zstd_of(size_bytes):
    """A frame of so many blanks, made without holding them."""
    out = io.BytesIO()
    with zstandard.ZstdCompressor(level=1).stream_writer(out, closefd=False) as writer:
        for _ in range(size_bytes // MIB):
            writer.write(b" " * MIB)
    return out.getvalue()


def window_of(bits):
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=bits, write_content_size=False)
    return zstandard.ZstdCompressor(compression_params=parameters).compress(b" " * 2 * MIB)


BOMBS = {
    "gzip, a thousand to one": ("gzip", lambda: gzip.compress(b" " * 9 * MIB), 413),
    "gzip, twelve times the limit": ("gzip", lambda: gzip.compress(b" " * 96 * MIB), 413),
    "gzip in gzip": ("gzip", lambda: gzip.compress(gzip.compress(b" " * 64 * MIB)), 400),
    "gzip twice, by name": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b" " * 9 * MIB)), 415),
    "gzip, cut off": ("gzip", lambda: gzip.compress(UPLOAD.encode() * 100)[:-9], 400),
    "gzip, cut off in its head": ("gzip", lambda: b"\x1f\x8b\x08", 400),
    "gzip of nothing": ("gzip", lambda: b"", 400),
    "gzip with a wrong sum": ("gzip", lambda: gzip.compress(b"{}")[:-8] + b"\0" * 8, 400),
    "gzip with junk behind it": ("gzip", lambda: gzip.compress(b"{}") + b"junk", 400),
    "gzip of many members": ("gzip", lambda: gzip.compress(b" " * 64 * 1024) * 200, 413),
    "gzip of too many members": ("gzip", lambda: gzip.compress(b"") * 10_000, 413),
    "deflate, which is not taken": ("deflate", lambda: zlib.compress(b" " * 64 * MIB), 415),
    "zstd, thirty thousand to one": ("zstd", lambda: zstd_of(512 * MIB), 413),
    "zstd that tells its size": ("zstd", lambda: zstandard.compress(b" " * 9 * MIB), 413),
    "zstd that does not tell its size": ("zstd", lambda: zstd_without_size(b" " * 9 * MIB), 413),
    "zstd, cut off": ("zstd", lambda: zstandard.compress(UPLOAD.encode() * 100)[:-3], 400),
    "zstd with a window of 128 MiB": ("zstd", lambda: window_of(27), 400),
    "zstd with junk behind it": ("zstd", lambda: zstandard.compress(b"{}") + b"junk", 400),
    "zstd in zstd": ("zstd", lambda: zstandard.compress(zstandard.compress(b" " * 64 * MIB)), 400),
    "nothing packed, a mebibyte and one": ("", lambda: b" " * (MIB + 1), 413),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("call", ["upload", "register"])
def test_a_bomb_is_refused(target, name, call):
    encoding, make, status = BOMBS[name]
    reply = getattr(target, call)(make(), encoding)
    assert reply.status_code == status, reply.text
    assert target.client.get("/health/live").status_code == 200


def nested(opening, closing, depth):
    return opening * depth + closing * depth


ODD = {
    "nothing": b"",
    "a blank": b" ",
    "null": b"null",
    "a number": b"1",
    "a text": b'"x"',
    "a list": b"[]",
    "lists in lists": nested("[", "]", 100_000),
    "lists without an end": b"[" * 500_000,
    "objects in objects": nested('{"a":', "}", 50_000),
    "a list in a text that is none": b'{"a": "' + b"[" * 100_000,
    "not a number": b'{"sent_at": NaN, "payloads": []}',
    "endless": b'{"sent_at": Infinity, "payloads": []}',
    "more than a float holds": b'{"sent_at": 1e999, "payloads": []}',
    "a number of 100,000 digits": b'{"sent_at": ' + b"9" * 100_000 + b', "payloads": []}',
    "a number with a leading nought": b'{"sent_at": 01, "payloads": []}',
    "a number with a plus": b'{"sent_at": +1, "payloads": []}',
    "a number in hexadecimal": b'{"sent_at": 0x1, "payloads": []}',
    "a comma too many": b'{"sent_at": 1, "payloads": [],}',
    "a comma too few": b'{"sent_at": 1 "payloads": []}',
    "a comment": b'{"sent_at": 1, /* x */ "payloads": []}',
    "single quotes": b"{'sent_at': 1, 'payloads': []}",
    "names without quotes": b"{sent_at: 1, payloads: []}",
    "two documents": b'{"sent_at": 1, "payloads": []}{}',
    "a NUL behind it": b'{"sent_at": 1, "payloads": []}\0',
    "a mark of the byte order": b'\xef\xbb\xbf{"sent_at": 1, "payloads": []}',
    "UTF-16": '{"sent_at": 1, "payloads": []}'.encode("utf-16"),
    "UTF-32": '{"sent_at": 1, "payloads": []}'.encode("utf-32"),
    "Latin-1": '{"sent_at": 1, "payloads": [], "é": 1}'.encode("latin-1"),
    "overlong UTF-8": b'{"sent_at": 1, "payloads": [], "\xc0\xaf": 1}',
    "half a surrogate pair in bytes": b'{"sent_at": 1, "payloads": [], "\xed\xa0\x80": 1}',
    "a line end in a text": b'{"sent_at": 1, "payloads": [{"payload_id": "a\nb", "items": []}]}',
    "an escape that is none": b'{"sent_at": 1, "payloads": [], "\\x41": 1}',
    "a text without an end": b'{"sent_at": 1, "payloads": [], "a',
    "a text for a number": b'{"sent_at": "1", "payloads": []}',
    "a truth for a number": b'{"sent_at": true, "payloads": []}',
    "an object for a list": b'{"sent_at": 1, "payloads": {}}',
    "payloads that are missing": b'{"sent_at": 1}',
    "33 payloads": (UPLOAD % "").replace("[{", "[" + "{}," * 32 + "{").encode(),
    "2,001 items": (UPLOAD % ",".join([ITEM] * 2_001)).encode(),
    "a payload id that is none": (UPLOAD % ITEM).replace("0193f7a2", "xxxxxxxx").encode(),
}
"""None of them is an upload."""


@pytest.mark.parametrize("name", ODD)
def test_json_that_is_odd_is_refused_wherever_it_comes(target, name):
    body = ODD[name] if isinstance(ODD[name], bytes) else ODD[name].encode()
    replies = [target.upload(body), target.register(body), target.upload(zstandard.compress(body), "zstd")]
    assert {reply.status_code for reply in replies} <= {400, 413}, [reply.text for reply in replies]
    for reply in replies:
        assert json.loads(reply.content)["errorCode"] in {"INVALID_REQUEST", "TOO_LARGE"}


def test_names_without_number_are_a_refusal_that_costs_little(target):
    names = ",".join(f'"{number:x}":0' for number in range(100_000))
    assert target.register(zstandard.compress(f"{{{names}}}".encode()), "zstd").status_code == 400
    assert target.upload(zstandard.compress(f"{{{names}}}".encode()), "zstd").status_code == 400


def test_what_is_at_the_limit_is_taken(target):
    body = (UPLOAD % ",".join([ITEM] * 2_000)).encode()
    for packed, encoding in ((body, ""), (gzip.compress(body), "gzip"), (zstandard.compress(body), "zstd")):
        assert target.upload(packed, encoding).status_code == 202
    blanks = body + b" " * (8 * MIB - len(body))
    assert target.upload(gzip.compress(blanks), "gzip").status_code == 202
    assert target.upload(gzip.compress(blanks + b" "), "gzip").status_code == 413
