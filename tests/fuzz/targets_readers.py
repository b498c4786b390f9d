"""Readers of what a stranger sends the platform: paths, queries, credentials, encodings, documents, uploads."""

from __future__ import annotations

import base64
import gzip
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.fuzz.table import Target

from unbroken import consent, install_key, wire
from unbroken.attack import exchange
from unbroken.attack.operations import read_operations
from unbroken.credentials import Kind, Signed, Vault, kind_of, read_opaque, write_opaque
from unbroken.domain.app import Policy
from unbroken.domain.errors import InvalidRequest, NotFound, Refusal, Unauthenticated
from unbroken.domain.ids import AppId, InstallId, parse_id
from unbroken.flow.install_keys import is_signed, read_public_key
from unbroken.flow.pages import read_cursor, write_cursor
from unbroken.flow.uploads import take_plain
from unbroken.server import authenticate, body, document, lab, parameters, router, table
from unbroken.server.router import WrongMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def reader(read: Callable[[bytes], Any], seeds: Sequence[bytes], *declared: type[Exception]) -> Callable[[], Target]:
    """A target that may raise what it declares."""

    def run(content: bytes) -> None:
        with suppress(*declared):
            read(content)

    return lambda: Target(run, seeds)


VAULT = Vault(b"p" * 32, b"s" * 32)
KEY = write_opaque(Kind.API_KEY, b"k" * 12, b"c" * 32)
TOKEN = VAULT.sign(Kind.USER_TOKEN, Signed(AppId(b"a" * 12), InstallId(b"i" * 12), 1_790_000_000_000))
ROUTER = router.Router(table.api())
ROUTES = {route.name: route for route in table.api()}
ITEMS = b'{"kind":"location","t":1790000000,"lat":51.05,"lon":3.72},{"kind":"custom","t":1,"name":"x","data":{}}'
PAYLOAD = b'{"payload_id":"019ab3f0-6f00-7000-8000-0123456789ab","items":[%b]}' % ITEMS
UPLOAD = b'{"sent_at":1790000000000,"payloads":[%b]}' % PAYLOAD
REGISTER = b'{"device":{"platform":"android","screen_inches":6.1},"sdk":{"name":"x","version":"1"}}'


def path(content: bytes) -> None:
    match = ROUTER.match("GET", content)
    for value in match.path.values():
        assert all(ord(character) >= 0x20 for character in value)


def query(content: bytes) -> None:
    for route in ("GET /v2/users/{user_id}/events", "GET /v3/users/{user_id}/items", "DELETE /users/{user_id}"):
        parameters.parse_query(ROUTES[route], content)


def authorization(content: bytes) -> None:
    scheme, value = authenticate.read_authorization(content)
    if scheme == "basic":
        authenticate.read_basic(value)
    kind_of(value)


def token(content: bytes) -> None:
    text = content.decode("latin-1")
    assert VAULT.open(Kind.USER_TOKEN, text) is None or text == TOKEN
    assert VAULT.open(Kind.LINK_TICKET, text) is None


def opaque(content: bytes) -> None:
    found = read_opaque(content.decode("latin-1"))
    assert found is None or len(found.subject) == 12


def unpacked(encoding: bytes) -> Callable[[bytes], None]:
    def read(content: bytes) -> None:
        assert len(body.unpack(content, encoding)) <= wire.BODY_MAX_DECOMPRESSED_BYTES

    return read


def head(content: bytes) -> None:
    name, _, value = content.partition(b":")
    body.check_media_type(value)
    body.check_encoding(name)
    body.declared_bytes(value)


def parsed(kind: Any) -> Callable[[bytes], None]:
    decoder = msgspec.json.Decoder(kind)

    def read(content: bytes) -> None:
        document.check_depth(content)
        document.check_strictness(content)
        document.decode(content, decoder)

    return read


def depth(content: bytes) -> None:
    assert 0 <= document.depth(content, wire.DEPTH_MAX) <= wire.DEPTH_MAX + 1


def upload(content: bytes) -> None:
    """What the hot path takes for plain must be what the strict reader takes."""
    taken = take_plain(content)
    if taken is not None:
        msgspec.json.Decoder(wire.Upload).decode(content)


def cursor(content: bytes) -> None:
    read_cursor(content.decode("latin-1"), int, str)


def external_id(content: bytes) -> None:
    found = Policy().external_id_of(content.decode("utf-8", "surrogateescape"))
    assert found is None or found.strip()
    parse_id(content.decode("latin-1"))


def stamp(content: bytes) -> None:
    text = content.decode("latin-1")
    found = consent.read_stamp(text)
    assert found is None or not consent.is_ours(VAULT, *found) or text == STAMP
    consent.read_warrant(content)
    consent.is_challenge(text)


def public_key(content: bytes) -> None:
    """A key in DER, or as the text in which it travels: what is taken is a key that signs nothing it did not sign."""
    for text in (install_key.write(content), content.decode("latin-1")):
        with suppress(InvalidRequest):
            assert not is_signed(read_public_key(text), PROOF, b"another message")


def proof(content: bytes) -> None:
    for text in (install_key.write(content), content.decode("latin-1")):
        assert not is_signed(PUBLIC_KEY, text, MESSAGE) or text == PROOF


def openapi(content: bytes) -> None:
    try:
        said = json.loads(content)
    except (ValueError, RecursionError):
        return
    read_operations(said)


def reply_head(content: bytes) -> None:
    exchange._read_head(content + b"\r\n\r\n")


PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
POINT = (
    ec.derive_private_key(7, ec.SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
)
MESSAGE = install_key.message_of("POST /sdk/tokens", KEY)
SIGNATURE = PRIVATE_KEY.sign(MESSAGE)
PROOF = install_key.write(SIGNATURE)
STAMP = consent.write_stamp(VAULT, consent.Stamp(b"a" * 12, b"b" * 12, 1_790_000_000_000))
DOCUMENT = json.dumps({
    "paths": {"/a/{b_id}": {"get": {"security": [{"apiKey": ["user.read"]}], "responses": {"200": {}}, "parameters": [
        {"name": "b_id", "in": "path", "required": True}, {"name": "q", "in": "query", "required": True}]}}}
}).encode()  # fmt: skip

PATHS = (b"/v2/users/0123456789abcdef01234567/events", b"/sdk/install", b"/%41/%c3%a9")
QUERIES = (b"from=2026-11-23&to=2026-11-24&limit=5", b"as_of=2026-11-23T21%3A12%3A54Z", b"dry_run=true")

GZIPPED = (gzip.compress(b"{}"), gzip.compress(b"{" + b" " * 5_000) * 2)
ZSTD = (
    zstandard.compress(b"{}"),
    zstandard.ZstdCompressor(write_content_size=False, write_checksum=True).compress(b"{" + b" " * 5_000),
)
AUTHORIZATIONS = (b"Bearer " + KEY.encode(), b"Basic " + base64.b64encode(b"a:b"))
EXTERNAL_IDS = (b"anna@example.com", "\u00e9\u0301\u202e".encode(), b"null")


def targets() -> Mapping[str, Callable[[], Target]]:
    """By the name that `python -m tests.fuzz` takes."""
    return {
        "path": reader(path, PATHS, NotFound, WrongMethod),
        "query": reader(query, QUERIES, InvalidRequest),
        "authorization": reader(authorization, AUTHORIZATIONS, Unauthenticated),
        "user-token": reader(token, (TOKEN.encode(), TOKEN.replace("user", "tick").encode())),
        "opaque-credential": reader(opaque, (KEY.encode(),)),
        "install-key": reader(public_key, (PUBLIC_KEY, POINT, install_key.write(PUBLIC_KEY).encode())),
        "install-key-proof": reader(proof, (SIGNATURE, PROOF.encode())),
        "gzip": reader(unpacked(b"gzip"), GZIPPED, Refusal),
        "zstd": reader(unpacked(b"zstd"), ZSTD, Refusal),
        "head": reader(head, (b"gzip:application/json; charset=utf-8", b"zstd:1024"), Refusal),
        "registration": reader(parsed(wire.Register), (REGISTER,), Refusal),
        "link": reader(parsed(wire.Link), (b'{"external_id":"account-4711","link_ticket":"x"}',), Refusal),
        "metadata": reader(parsed(wire.Metadata), (b'{"plan":"gold","a":"b"}',), Refusal),
        "why": reader(parsed(wire.Why), (b'{"reason":"wrong account"}',), Refusal),
        "depth": reader(depth, (UPLOAD, b'[[{"a":"\\"["}]]')),
        "upload": reader(upload, (UPLOAD,), Refusal),
        "cursor": reader(cursor, (write_cursor(1, "a").encode(),), InvalidRequest),
        "external-id": reader(external_id, EXTERNAL_IDS),
        "lab-time": reader(lab.read_lab_time, (b"1790000000000",), InvalidRequest),
        "stamp": reader(stamp, (STAMP.encode(), b"0f" * 32)),
        "openapi": reader(openapi, (DOCUMENT,), ValueError),
        "reply-head": reader(reply_head, (b"HTTP/1.1 200 OK\r\nContent-Length: 2",), exchange.NoReply),
    }
