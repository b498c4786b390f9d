"""What an install or a person may still do once it is gone: a part of the chapter on replays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from unbroken.attack.attack import Case, refusing
from unbroken.attack.exchange import asking

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from unbroken.attack.exchange import Reply
    from unbroken.attack.world import Device, World


async def _erased(world: World) -> Device:
    device = await world.a.linked(world.word("erased"))
    await world.caller.send(asking("DELETE", f"/users/{device.user_id}", world.a.key("user.delete")))
    return device


async def _reset(world: World) -> Device:
    device = await world.a.register()
    await world.caller.send(asking("DELETE", "/sdk/install", f"Bearer {device.credential}"))
    return device


class _Late(NamedTuple):
    """A call with the token of an install that is gone."""

    name: str
    method: str
    path: str
    wins: str
    uploads: bool = False

    def after(self, end: Callable[[World], Awaitable[Device]]) -> Case:
        async def send(world: World) -> Reply:
            device = await end(world)
            body = world.a.upload() if self.uploads else None
            return await world.caller.send(asking(self.method, self.path, device.bearer, body))

        return refusing(f"{end.__name__.lstrip('_')}/{self.name}", send, "INSTALL_DELETED", wins=self.wins)


async def _renewed(world: World) -> Reply:
    return await world.caller.send(asking("POST", "/sdk/tokens", f"Bearer {(await _erased(world)).credential}"))


async def _linked(world: World) -> Reply:
    device, account = await _reset(world), {"external_id": world.word("gone")}
    return await world.caller.send(asking("POST", f"/v2/users/{device.install_id}/link", world.a.key(), account))


async def _read(world: World) -> Reply:
    return await world.caller.send(asking("GET", f"/v2/users/{(await _erased(world)).user_id}", world.a.key()))


_LATE: Final = (
    _Late("state", "GET", "/sdk/install", wins="life after death"),
    _Late("upload", "POST", "/sdk/payloads", wins="a gone person's data back", uploads=True),
    _Late("profile", "GET", "/v2/users/me", wins="what was erased"),
)
AFTER_THE_END: Final = (
    *(late.after(end) for end in (_erased, _reset) for late in _LATE),
    refusing("erased/renew", _renewed, "INSTALL_DELETED", wins="life after death"),
    refusing("reset/link", _linked, "INSTALL_DELETED", "INSTALL_NOT_FOUND", wins="a phone that is gone"),
    refusing("erased/read", _read, "NOT_FOUND", wins="what was erased"),
)
"""The attacks."""
