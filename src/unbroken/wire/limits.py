"""Limits that belong to the contract (http-api.md)."""

from __future__ import annotations

from typing import Final

BODY_MAX_BYTES: Final = 1 << 20
BODY_MAX_DECOMPRESSED_BYTES: Final = 8 << 20
BODY_MAX_ANONYMOUS_BYTES: Final = 64 << 10  # of a request whose only credential stands in its body, decompressed
PAYLOADS_MAX: Final = 32
ITEMS_MAX: Final = 2_000
DEPTH_MAX: Final = 16
CUSTOM_DATA_MAX_BYTES: Final = 4 << 10
INSTALL_KEY_MAX_CHARACTERS: Final = 200  # in base64url; a key of P-256 has 122
METADATA_KEYS_MAX: Final = 50
METADATA_MAX_CHARACTERS: Final = 500
PAGE_DEFAULT: Final = 100
PAGE_MAX: Final = 1_000
