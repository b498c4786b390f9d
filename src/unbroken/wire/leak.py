"""What is told of secrets that lie around."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

TOKENS_MAX = 10


class LeakedTokens(Struct, frozen=True):
    """POST /security/leaked-tokens: secrets as they were found; what is not ours is passed over."""

    tokens: Annotated[list[Annotated[str, Meta(max_length=512)]], Meta(max_length=TOKENS_MAX)]
