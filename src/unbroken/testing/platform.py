"""One app on a platform in lab mode: what a customer's server holds to speak for it, and what it reads back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx

from unbroken import wire
from unbroken.testing.network import LAB_TIME

if TYPE_CHECKING:
    from collections.abc import Mapping

    from unbroken.clock import Clock
    from unbroken.testing.process import PlatformProcess

_DAY_MS: Final = 86_400_000
_CODE_LIFE_MS: Final = 5 * 60_000
_SCOPES: Final = ("user.read", "user.link", "user.delete", "user.manage")
_INSTALL_FIELDS: Final = ("install_id", "activation_id", "installs")


@dataclass(frozen=True, slots=True)
class LabApp:
    """An app of a platform in lab mode, with a key that may do everything in it."""

    base_url: str
    app_id: str
    app_secret: str = field(repr=False)
    api_key: str = field(repr=False)


class CallFailed(RuntimeError):
    """The platform refused a call of the lab; the message carries its reply. `code` is its `errorCode`."""

    def __init__(self, message: str, status: int, code: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def create_app(platform: PlatformProcess, name: str, policies: Mapping[str, str] | None = None) -> LabApp:
    """Make an app and a key for it on a platform of one's own, by its command line.

    Args:
        platform: running.
        name: of the app.
        policies: as `unbroken app policy` takes them.

    Raises:
        ProcessFailed: a command was refused.
    """
    app = platform.command("app", "create", name)
    if policies:
        platform.command("app", "policy", app["app_id"], *(f"{key}={value}" for key, value in policies.items()))
    scopes = [word for scope in _SCOPES for word in ("--scope", scope)]
    key = platform.command("key", "create", "--app", app["app_id"], "--name", "lab", *scopes)
    return LabApp(platform.base_url, app["app_id"], app["app_secret"], key["api_key"])


class View:
    """What the customer's server can read of its people, as plain JSON.

    Every call first waits until the platform has processed what it has acknowledged, so that a story needs no waiting.
    """

    def __init__(self, app: LabApp, carrier: httpx.BaseTransport | None = None) -> None:
        self._client = httpx.Client(
            base_url=app.base_url,
            transport=carrier or httpx.HTTPTransport(),
            headers={"Authorization": f"Bearer {app.api_key}"},
            timeout=60.0,
            trust_env=False,
        )
        self._clock: Clock | None = None

    def follow(self, clock: Clock) -> None:
        """Tell the platform the lab's time with every call from now on."""
        self._clock = clock

    def settle(self) -> None:
        """Return when everything acknowledged has been processed."""
        self._call("POST", "/lab/settle")

    def now_ms(self) -> int:
        """The platform's clock, epoch milliseconds: what the expiry of a fresh code tells."""
        expires_at_ms = wire.parse_iso(
            self._call("POST", "/users/auth-code", {"external_id": "lab clock"})["expires_at"]
        )
        assert expires_at_ms is not None
        return expires_at_ms - _CODE_LIFE_MS

    def link(self, install_id: str, external_id: str, link_ticket: str | None = None) -> dict[str, Any]:
        """Link, as a customer's server would."""
        body = {"external_id": external_id} | ({"link_ticket": link_ticket} if link_ticket else {})
        return dict(self._call("POST", f"/v2/users/{install_id}/link", body))

    def profile(self, user_id: str) -> dict[str, Any]:
        """The profile of a user."""
        return dict(self._read(f"/v2/users/{user_id}"))

    def timeline(self, user_id: str, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Every event that touches the days from one instant to another, in order of time, silence included."""
        days = {"from": wire.iso(from_ms - _DAY_MS)[:10], "to": wire.iso(to_ms + _DAY_MS)[:10]}
        newest_first = self._read(f"/v2/users/{user_id}/events", **days, types="all")
        return list(reversed(newest_first))

    def trajectory(self, user_id: str, event_id: str) -> Any:
        """The waypoints of a transport event."""
        return self._read(f"/v3/users/{user_id}/events/{event_id}/trajectory")

    def installs(self, user_id: str) -> list[dict[str, Any]]:
        """The installs of a user, with their activations."""
        return self._pages(f"/v3/users/{user_id}/installs", "installs")

    def ledger(self, user_id: str) -> list[dict[str, Any]]:
        """The facts about a user, oldest first."""
        return self._pages(f"/v3/users/{user_id}/ledger", "facts")

    def items(self, user_id: str, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """What became of every item captured from one instant to another, by an install of this user."""
        window = {"from": wire.iso(from_ms), "to": wire.iso(to_ms)}
        return self._pages(f"/v3/users/{user_id}/items", "items", **window)

    def explain(self, install_id: str, at_ms: int | None = None) -> dict[str, Any]:
        """Why an install is, or was, in its state."""
        at = {} if at_ms is None else {"at": wire.iso(at_ms)}
        return dict(self._read(f"/v3/installs/{install_id}/explain", **at))

    def erase(self, user_id: str) -> dict[str, Any]:
        """Erase a user; the receipt."""
        return dict(self._call("DELETE", f"/users/{user_id}"))

    def close(self) -> None:
        """Close the connections, the carrier's included."""
        self._client.close()

    def _read(self, path: str, **query: str) -> Any:
        self.settle()
        return self._call("GET", path, query=query)

    def _pages(self, path: str, name: str, **query: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        self.settle()
        while True:
            page = self._call("GET", path, query={"limit": str(wire.PAGE_MAX), **query, **cursor})
            rows += page[name]
            if not page.get("next_cursor"):
                return rows
            cursor = {"cursor": page["next_cursor"]}

    def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, query: Mapping[str, str] | None = None
    ) -> Any:
        headers = {LAB_TIME: str(self._clock.now_ms())} if self._clock is not None else None
        return _checked(self._client.request(method, path, params=query, json=body, headers=headers))


def without_installs(timeline: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A timeline without the ids of installs and activations: what must not depend on which device captured it."""
    return [{name: value for name, value in event.items() if name not in _INSTALL_FIELDS} for event in timeline]


def story_of(timeline: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What a timeline tells, without any id: two people who lived the same day have the same story."""
    told = ("type", "start", "end", "mode", "distance", "latitude", "longitude")
    return [tuple(event.get(name) for name in told) for event in timeline]


def _checked(response: httpx.Response) -> Any:
    if response.is_success:
        return response.json() if response.content else None
    try:
        code = response.json().get("errorCode")
    except (json.JSONDecodeError, AttributeError):
        code = None
    call = f"{response.request.method} {response.request.url.path}"
    raise CallFailed(f"{call}: {response.status_code} {response.text}", response.status_code, code)
