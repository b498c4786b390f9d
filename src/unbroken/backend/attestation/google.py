"""Google's decode call for standard requests of Play Integrity, made as a service account.

`POST {url}/v1/{package}:decodeIntegrityToken` with an access token, which is had for a signed statement of the service
account (RFC 7523) and kept for its life. Nothing is sent again by itself: a token that Google decoded, and whose reply
was lost, would come back without verdicts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from unbroken import wire
from unbroken.backend.attestation.asking import Unreadable, ask
from unbroken.backend.attestation.jose import to_base64url
from unbroken.backend.attestation.refused import Reason, Refused
from unbroken.outgoing import NoReply, Reply, check_base_url, client_arguments
from unbroken.outgoing.deadline import TimedTransport

if TYPE_CHECKING:
    import ssl

T = TypeVar("T")

PLAY_INTEGRITY_URL: Final = "https://playintegrity.googleapis.com"

_SCOPE: Final = "https://www.googleapis.com/auth/playintegrity"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_STATEMENT_LIFE_S: Final = 600
_RENEWED_BEFORE_MS: Final = 60_000
_TRY_AGAIN_AFTER_MS: Final = 10_000
_REPLY_MAX_BYTES: Final = 64 << 10
_IN_OUTAGE: Final = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """A service account of Google Cloud that may call the Play Integrity API of the app's project.

    Args:
        email: its name.
        private_key: RSA, in PEM.
        token_url: where access tokens are had.

    Raises:
        ValueError: the key or the URL is not usable; the key is not in the message.
    """

    email: str
    private_key: str = field(repr=False)
    token_url: str

    def __post_init__(self) -> None:
        check_base_url(self.token_url)
        self._key()

    @classmethod
    def of_file(cls, content: bytes) -> ServiceAccount:
        """The account in the JSON file that the Cloud Console gives out; raises `ValueError`."""
        try:
            read = wire.decode(content, _AccountFile)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ValueError("not the JSON file of a service account") from None
        return cls(read.client_email, read.private_key, read.token_uri)

    def statement(self, now_ms: int) -> str:
        """A JWT in which the account asks for an access token."""
        now_s = now_ms // 1000
        claims: dict[str, str | int] = {"iss": self.email, "scope": _SCOPE, "aud": self.token_url}
        claims |= {"iat": now_s, "exp": now_s + _STATEMENT_LIFE_S}
        header = {"alg": "RS256", "typ": "JWT"}
        signed = ".".join(to_base64url(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{to_base64url(self._key().sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def _key(self) -> rsa.RSAPrivateKey:
        try:
            key = load_pem_private_key(self.private_key.encode(), None)
        except (ValueError, TypeError):
            raise ValueError("the private key of the service account cannot be read") from None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise ValueError("the private key of the service account is not RSA")  # noqa: TRY004 - of a right type
        return key


class _AccountFile(msgspec.Struct):
    client_email: str
    private_key: str
    token_uri: str


class _Access(msgspec.Struct):
    access_token: str
    expires_in: int


class _Decoded(msgspec.Struct):
    payload: msgspec.Raw = msgspec.field(name="tokenPayloadExternal")


class GoogleDecoder:
    """Decodes by asking Google (`Decoder`). May be used by many threads.

    Args:
        package: the app's package name.
        account: who asks.
        url: where the Play Integrity API is.
        timeout_s: how long one request may take, from connecting to the last byte of the reply.
        ssl_context: the TLS to use; the system's CA store and host name check if left out.

    Raises:
        ValueError: the URL is not usable.
    """

    def __init__(
        self,
        package: str,
        account: ServiceAccount,
        *,
        url: str = PLAY_INTEGRITY_URL,
        timeout_s: float = 10.0,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        check_base_url(url)
        self._url = f"{url}/v1/{quote(package, safe='')}:decodeIntegrityToken"
        self._account = account
        self._timeout_s = timeout_s
        self._client = httpx.Client(transport=TimedTransport(ssl_context), **client_arguments("", ssl_context))
        self._access = ""
        self._access_ends_at_ms = 0
        self._next_try_at_ms = 0
        self._failure = Refused(Reason.DECODER_UNREACHABLE, "no access token was asked for yet")
        self._lock = Lock()

    def decode(self, token: str, now_ms: int) -> bytes:
        """See `Decoder.decode`."""
        headers = {"Authorization": f"Bearer {self._access_token(now_ms)}"}
        asked = self._ask(self._url, json={"integrity_token": token}, headers=headers)
        return bytes(_read(asked, _Decoded).payload)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _access_token(self, now_ms: int) -> str:
        """One thread asks for a token; others go on with one that still holds, or hear what the one heard."""
        is_over = now_ms >= self._access_ends_at_ms
        if now_ms >= self._next_try_at_ms and self._lock.acquire(blocking=is_over):
            try:
                if now_ms >= self._next_try_at_ms:
                    self._renew(now_ms)
            finally:
                self._lock.release()
        if now_ms >= self._access_ends_at_ms:
            raise Refused(self._failure.code, self._failure.detail)
        return self._access

    def _renew(self, now_ms: int) -> None:
        form = urlencode({"grant_type": _GRANT, "assertion": self._account.statement(now_ms)})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            access = _read(self._ask(self._account.token_url, content=form, headers=headers), _Access)
        except Refused as failure:
            self._failure, self._next_try_at_ms = failure, now_ms + _TRY_AGAIN_AFTER_MS
            return
        self._access, self._access_ends_at_ms = access.access_token, now_ms + 1000 * access.expires_in
        self._next_try_at_ms = self._access_ends_at_ms - _RENEWED_BEFORE_MS

    def _ask(self, url: str, **request: Any) -> Reply:
        heard = ask(self._client, {"method": "POST", "url": url, **request}, _REPLY_MAX_BYTES, self._timeout_s)
        if isinstance(heard, NoReply):
            is_there = isinstance(heard, Unreadable)
            raise Refused(Reason.DECODER_REFUSED if is_there else Reason.DECODER_UNREACHABLE, heard.details)
        if heard.status == 200:
            return heard
        if heard.status == 401:
            self._access_ends_at_ms = self._next_try_at_ms = 0
        raise Refused(_reason_of(heard.status), f"HTTP status {heard.status}")


def _reason_of(status: int) -> Reason:
    """A refusal, or a fault, can perhaps be had by whoever sends tokens; only that Google is not there is an outage."""
    if status in _IN_OUTAGE:
        return Reason.DECODER_UNREACHABLE
    return Reason.DECODER_QUOTA_EXCEEDED if status == 429 else Reason.DECODER_REFUSED


def _read(reply: Reply, type_: type[T]) -> T:
    try:
        return wire.decode(reply.body, type_)
    except wire.UNREADABLE:
        raise Refused(Reason.DECODER_REFUSED, "a reply that is not Google's") from None
