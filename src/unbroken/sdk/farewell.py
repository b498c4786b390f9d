"""Ceasing to be an install: forgetting it here at once, and telling the platform, if need be much later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from unbroken.sdk.conversation import OFFLINE
from unbroken.sdk.exchange import Request, require_status
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.secret import Secret
from unbroken.sdk.state import Farewell, State

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unbroken.sdk.conversation import Conversation
    from unbroken.sdk.memory import Memory
    from unbroken.sdk.steps import Flow

_NOBODY_HEARS: Final = frozenset({FaultKind.UNAUTHENTICATED, FaultKind.CLONED, FaultKind.DELETED})
"""401, 409, 410: that credential will never be accepted again. Everything else may pass, a disabled app too."""


def leave(memory: Memory, app_id: str) -> None:
    """Stop being this install: one change forgets it and notes the farewell, so that a kill leaves no half reset."""
    memory.update(
        lambda state: State(
            app_id=app_id,
            farewells=(*state.farewells, *_farewell_of(state)),
            pin_update=state.pin_update,
            pin_misses=state.pin_misses,
        )
    )


def _farewell_of(state: State) -> tuple[Farewell, ...]:
    if state.install_id is None or state.credential is None:
        return ()
    return (Farewell(state.install_id, state.credential, state.renewal_key, state.install_key),)


def say_farewells(talk: Conversation) -> Flow[bool]:
    """Tell the platform of every install that was reset here; returns whether it knows of all."""
    for farewell in talk.state.farewells:
        try:
            yield from _say(talk, farewell)
        except Fault as fault:
            if fault.kind in OFFLINE:
                break
            if fault.kind not in _NOBODY_HEARS:
                continue
        _replace(talk.memory, farewell.install_id)
    return not talk.state.farewells


def _say(talk: Conversation, farewell: Farewell) -> Flow[None]:
    """An unfinished renewal is finished first: only its reply carries the credential that is valid now."""
    if farewell.renewal_key is not None:
        spending = talk.spending(farewell.credential, farewell.install_key)
        tokens = yield from talk.send_renewal(spending, farewell.renewal_key)
        farewell = replace(farewell, credential=Secret(tokens.install_credential), renewal_key=None)
        _replace(talk.memory, farewell.install_id, farewell)
    spending = talk.spending(farewell.credential, farewell.install_key)
    reply = yield from talk.send(Request("DELETE", "/sdk/install", spending), is_patient=False)
    require_status(reply, 204)


def _replace(memory: Memory, install_id: str, *by: Farewell) -> None:
    """Put another farewell, or none, in the place of the one to that install."""
    memory.update(lambda state: replace(state, farewells=tuple(_with(state.farewells, install_id, by))))


def _with(farewells: Sequence[Farewell], install_id: str, by: Sequence[Farewell]) -> Iterator[Farewell]:
    for farewell in farewells:
        yield from by if farewell.install_id == install_id else (farewell,)
