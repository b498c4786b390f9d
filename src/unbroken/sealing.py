"""Sealing: an external id as it rests in the database, readable and comparable only with a key from outside it.

AES-SIV (RFC 5297) under a key of 64 bytes, with the app's id as associated data. It is deterministic: one id of an app
has one sealed text under a key, so the text is looked up, kept unique and ordered like any other. Its first 16 bytes
are a keyed hash of id and app, by which any change shows. Texts of two apps have nothing in common. What is seen from
outside is the length, and that two rows name the same.

A sealed text is `s<number of the key>.<base64url>`. Numbers count up from 1, so several keys can be in use at once.
"""

from __future__ import annotations

import base64
import hmac
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY_BYTES: Final = 64
_KNOWN_TEXTS: Final = 4096
_TEXT: Final = re.compile(r"s([1-9][0-9]{0,8})\.([A-Za-z0-9_-]+={0,2})")
_BODY: Final = re.compile(rb"s([1-9][0-9]{0,8})\.")


class NotSealed(ValueError):
    """A text that was not sealed so with any known key: it was damaged, or came from elsewhere."""


class KeyMissing(Exception):
    """Something is sealed under a key that this process does not have.

    Args:
        number: of the key.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"The external-id key {number} is not in keys.json.")
        self.number = number


class KeyRing:
    """The keys of external ids, by number. Threads may share it.

    Args:
        keys: each of 64 bytes.
        reread: gives all keys that there are by now; asked when one is met that is not among them.
    """

    def __init__(self, keys: Mapping[int, bytes], reread: Callable[[], Mapping[int, bytes]] | None = None) -> None:
        self._keys = dict(keys)
        self._reread = reread
        self._ciphers = {number: AESSIV(key) for number, key in self._keys.items()}
        # one call names an id several times; a thousandth part of what it costs otherwise
        self.seal = lru_cache(_KNOWN_TEXTS)(self._seal)
        self.open = lru_cache(_KNOWN_TEXTS)(self._open)
        self.mark = lru_cache(self._mark)

    def __repr__(self) -> str:
        return f"KeyRing({sorted(self._keys)})"

    @property
    def newest(self) -> int:
        """The greatest number among the keys."""
        return max(self._keys)

    def forget(self) -> None:
        """Keep no text in memory that was sealed or opened: somebody was erased."""
        self.seal.cache_clear()
        self.open.cache_clear()

    def _mark(self, number: int) -> bytes:
        """By which a key is known without being told, 16 bytes.

        Raises:
            KeyMissing: there is no such key.
        """
        self._cipher(number)
        return hmac.digest(self._keys[number], b"the mark of this key", "sha256")[:16]

    def _seal(self, number: int, app_id: bytes, text: str) -> str:
        """`text`, which is not empty, of an app, under a key.

        Raises:
            KeyMissing: there is no such key.
        """
        sealed = self._cipher(number).encrypt(text.encode(), [app_id])
        return f"s{number}.{base64.urlsafe_b64encode(sealed).decode()}"

    def _open(self, app_id: bytes, sealed: str) -> str:
        """What was sealed.

        Raises:
            NotSealed: nothing was, or of another app.
            KeyMissing: perhaps, but under a key that is not there.
        """
        parts = _TEXT.fullmatch(sealed)
        if parts is None:
            raise NotSealed("no sealed text")
        try:
            content = base64.urlsafe_b64decode(parts[2])
            text = self._cipher(int(parts[1])).decrypt(content, [app_id]).decode()
        except (InvalidTag, ValueError) as error:
            raise NotSealed("a sealed text that its key does not open") from error
        if base64.urlsafe_b64encode(content).decode() != parts[2]:  # some bytes have several texts
            raise NotSealed("a sealed text that was not written so")
        return text

    def seal_body(self, number: int, owner: bytes, body: bytes) -> bytes:
        """A whole document of an owner; an empty one stays empty.

        Raises:
            KeyMissing: there is no such key.
        """
        return b"s%d." % number + self._cipher(number).encrypt(body, [b"body", owner]) if body else b""

    def open_body(self, owner: bytes, sealed: bytes) -> bytes:
        """See `seal_body`, and `open`."""
        if not sealed:
            return b""
        head = _BODY.match(sealed)
        if head is None:
            raise NotSealed("no sealed document")
        try:
            return self._cipher(int(head[1])).decrypt(sealed[head.end() :], [b"body", owner])
        except (InvalidTag, ValueError) as error:
            raise NotSealed("a sealed document that its key does not open") from error

    def _cipher(self, number: int) -> AESSIV:
        if number not in self._ciphers and self._reread is not None:
            for known, key in self._reread().items():
                self._keys.setdefault(known, key)
                self._ciphers.setdefault(known, AESSIV(key))
        try:
            return self._ciphers[number]
        except KeyError:
            raise KeyMissing(number) from None


def begins(number: int) -> str:
    """How every text that is sealed under a key begins."""
    return f"s{number}."
