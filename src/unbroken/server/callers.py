"""Who makes a call, as a handler takes it: the table has admitted no other kind of caller than the row's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain import errors
from unbroken.flow.authenticate import AppCaller, InstallCaller, KeyCaller
from unbroken.flow.repeat import Repeatable

if TYPE_CHECKING:
    from unbroken.domain.ids import AppId
    from unbroken.flow.whose import Reader
    from unbroken.server.route import Call, Caller

READ_REFUSALS: Final = (errors.NotFound, errors.InstallGone, errors.InstallDeactivated, errors.InstallDisabled)
"""Of the calls that a key or the user's own token may make."""


def app_of(caller: Caller) -> AppId | None:
    """The app of a caller, where the credential says which that is."""
    match caller:
        case AppCaller(app) | KeyCaller(app):
            return app.app_id
        case InstallCaller(app_id):
            return app_id
        case _:
            return None


def key_of(call: Call) -> KeyCaller:
    """The customer's server."""
    assert isinstance(call.caller, KeyCaller)
    return call.caller


def install_of(call: Call) -> InstallCaller:
    """The install whose user token it is."""
    assert isinstance(call.caller, InstallCaller)
    return call.caller


def reader_of(call: Call) -> Reader:
    """Either of the two."""
    assert isinstance(call.caller, KeyCaller | InstallCaller)
    return call.caller


def same_of(call: Call) -> Repeatable | None:
    """What makes a repeat the same call; None where the caller sent no `Idempotency-Key`."""
    if call.idempotency_key is None:
        return None
    caller = reader_of(call)
    holder = caller.key_id if isinstance(caller, KeyCaller) else caller.install_id
    return Repeatable(holder, call.idempotency_key, call.body_hash)
