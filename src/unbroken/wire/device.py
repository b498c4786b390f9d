"""The Device API, but for uploads: how an install registers, and what it is told of itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from unbroken.wire.limits import INSTALL_KEY_MAX_CHARACTERS, METADATA_MAX_CHARACTERS

Text = Annotated[str, Meta(max_length=255)]


class Device(Struct, frozen=True, omit_defaults=True):
    """What the SDK reports of the device: facts, never a hardware identifier."""

    platform: Literal["android", "ios", "other"]
    screen_inches: Annotated[float, Meta(gt=0, le=1000)] | None = None
    idiom: Literal["phone", "pad"] | None = None
    model: Text | None = None
    os_version: Text | None = None
    time_zone: Text | None = None


class SdkVersion(Struct, frozen=True):
    """Which SDK speaks."""

    name: Text
    version: Text


class Register(Struct, frozen=True, omit_defaults=True):
    """POST /sdk/installs."""

    device: Device
    sdk: SdkVersion
    app_version: Text | None = None
    restored_from: Text | None = None
    authentication_code: Annotated[str, Meta(max_length=512)] | None = None
    install_key: Annotated[str, Meta(max_length=INSTALL_KEY_MAX_CHARACTERS)] | None = None


class RedeemCode(Struct, frozen=True):
    """POST /sdk/link."""

    authentication_code: Annotated[str, Meta(max_length=512)]


Metadata = dict[
    Annotated[str, Meta(min_length=1, max_length=METADATA_MAX_CHARACTERS)],
    Annotated[str, Meta(max_length=METADATA_MAX_CHARACTERS)],
]
"""PUT /sdk/metadata."""


class UserToken(Struct, frozen=True):
    """A signed token and when it ends."""

    token: str
    expires_at: str


class SdkConfig(Struct, frozen=True):
    """What the app's operator decided that the SDK must know."""

    linking: Literal["off", "on", "required"]


class OwnState(Struct, frozen=True, omit_defaults=True):
    """GET /sdk/install, POST /sdk/link: how the platform sees this install now."""

    install_id: str
    user_id: str
    state: str
    state_reason: str | None = field()
    linked: bool
    config: SdkConfig
    link_ticket: str | None = None


class Registered(Struct, frozen=True):
    """The reply of POST /sdk/installs."""

    install_id: str
    user_id: str
    install_credential: str
    user_token: UserToken
    state: str
    state_reason: str | None
    linked: bool
    config: SdkConfig


class Tokens(Struct, frozen=True):
    """The reply of POST /sdk/tokens."""

    install_credential: str
    user_token: UserToken
