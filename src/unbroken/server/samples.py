"""What the examples of the rows have in common, so that one person's ids are the same in all of them."""

from __future__ import annotations

from typing import Any, Final

APP_ID: Final = "6924c19900000000000000aa"
USER_ID: Final = "6924c1a69afbf4c8996fb924"
INSTALL_ID: Final = "6924c1a6e3b0c44298fc1c14"
LINK_ID: Final = "6924c1b000000000000000ff"
EVENT_ID: Final = "mzxw6ytboi4dsnzygq3tqojqgi"
RECEIPT: Final[dict[str, Any]] = {
    "receipt_id": "6924c1b00000000000000001",
    "application_id": APP_ID,
    "user": "9c1185a5c5e9fc54612808977ee8f548b2258d31b7f5ba4c2b7b6f7d3d1f5a4e",
    "erased_at": "2026-11-23T20:12:54.000+00:00",
    "key_id": "d75a980182b10ab7",
    "signature": "MEUCIQ==",
}
