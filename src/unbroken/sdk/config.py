"""What an app tells the SDK: who it is, where the platform is, how it links, and the limits it sets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from unbroken import wire
from unbroken.clock import Clock, SystemClock
from unbroken.outgoing import check_base_url
from unbroken.randomness import Randomness, SystemRandomness
from unbroken.sdk.errors import InvalidConfig
from unbroken.sdk.pins import Pins, as_pins
from unbroken.sdk.secret import Secret

if TYPE_CHECKING:
    import ssl

    import httpx

    from unbroken.sdk.install_key import InstallKey
    from unbroken.sdk.linker import Linker
    from unbroken.sdk.state import Storage

SecretSource = Secret | Callable[[], str | Secret | Awaitable[str | Secret]]
"""The app secret, or what fetches it: a function, or a coroutine function. Asked at a registration only."""

_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Quotas:
    """How much the SDK may use.

    Args:
        disk_bytes: of items that wait; beyond it nothing is captured.
        network_bytes: of compressed uploads that the platform answered, within any 30 days; beyond it only
            `submit_detections` uploads.
    """

    disk_bytes: int = 128 * _MIB
    network_bytes: int = 250 * _MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything the SDK is told once.

    Args:
        app_id: the app's id.
        base_url: the platform; `http://` is accepted for loopback only.
        storage: a directory for this SDK alone.
        secret: the app secret or what fetches it; a `Secret` is wiped after a registration, so an app that
            resets gives a function. May be left out where users are made by `create_user(authentication_code)`.
        link: the app's linker (`linker.py` knows the forms), `NO_OP`, or None.
        device: facts on the device, from which the platform decides phone or tablet.
        install_key: signs for this install where the app has hardware that does; None: a key of the SDK's own, if
            cryptography is installed.
        app_version: of the app, for the operator's eyes.
        link_timeout_s: how long a linker may take.
        request_timeout_s: how long one request may take, from connecting to the last byte of its reply, and a second
            more for every 4 KiB it sends. Where the code blocks, resolving the name has the system's own limits.
        retry_wait_max_s: the longest `Retry-After` a call waits out before it fails; 0 never waits.
        reset_upload_max_s: how long `reset` may spend on uploading what is left; an upload that hangs is left behind.
        upload_every_s: the pause between uploads in the background; None uploads at `submit_detections` only.
        quotas: limits on disk and network.
        pins: of the platform's keys, at least two; a `Pins` where they expire or are updated. None: every key counts
            for which a CA vouches.
        ssl_context: the TLS to use, for a CA of yours; with `pins` it is changed to ask for them. None: the CA store
            and the check of the host name.
        transport: an `httpx` transport in place of the network: blocking for `Sdk`, async for `AsyncSdk`.
        headers: further headers, asked anew for every request.
        clock: tells the device's time.
        randomness: makes ids and jitter.

    Raises:
        InvalidConfig: the base URL is not usable, or a limit is not positive.
    """

    app_id: str
    base_url: str
    storage: Storage
    secret: SecretSource | None = field(default=None, repr=False)
    link: Linker | None = None
    device: wire.Device = field(default_factory=lambda: wire.Device(platform="other"))
    install_key: InstallKey | None = None
    app_version: str | None = None
    link_timeout_s: float = 60.0
    request_timeout_s: float = 30.0
    retry_wait_max_s: float = 5.0
    reset_upload_max_s: float = 10.0
    upload_every_s: float | None = 60.0
    quotas: Quotas = Quotas()
    pins: Collection[str] | Pins | None = None
    ssl_context: ssl.SSLContext | None = None
    transport: httpx.BaseTransport | httpx.AsyncBaseTransport | None = None
    headers: Callable[[], Mapping[str, str]] | None = None
    clock: Clock = field(default_factory=SystemClock)
    randomness: Randomness = field(default_factory=SystemRandomness)

    def __post_init__(self) -> None:
        try:
            check_base_url(self.base_url)
        except ValueError as error:
            raise InvalidConfig(str(error)) from None
        if isinstance(self.secret, str):
            raise InvalidConfig("the app secret is a Secret or a function that fetches it, never a plain string")
        pause_s = 1 if self.upload_every_s is None else self.upload_every_s
        if min(self.link_timeout_s, self.request_timeout_s, pause_s) <= 0:
            raise InvalidConfig("timeouts and the pause between uploads are greater than 0")
        if self.pins is not None:
            object.__setattr__(self, "pins", as_pins(self.pins))
            if urlsplit(self.base_url).scheme != "https":
                raise InvalidConfig("pins are checked over https:// only")
            if self.transport is not None:
                raise InvalidConfig("pins are checked by the SDK's own transport; give yours a pinned_context")

    @property
    def pin_set(self) -> Pins | None:
        """The pins the app was made with."""
        return None if self.pins is None else as_pins(self.pins)

    @property
    def host(self) -> str:
        """The platform's, as in a handshake."""
        return (urlsplit(self.base_url).hostname or "").encode("idna").decode()
