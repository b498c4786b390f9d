"""The one shape of every error (http-api.md, conventions)."""

from __future__ import annotations

from msgspec import Struct, field


class ErrorDetail(Struct, frozen=True):
    """Where in the request something is wrong."""

    path: str
    message: str


class Problem(Struct, frozen=True, omit_defaults=True, rename={"error_code": "errorCode"}):
    """The body of every error (http-api.md, conventions). `ref` is the request id."""

    message: str
    error_code: str
    ref: str
    hint: str | None = None
    errors: list[ErrorDetail] = field(default_factory=list)
