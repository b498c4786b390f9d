"""Becoming somebody: the table of sdk.md, registration, linking. The steps named in comments are the table's."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from unbroken import install_key, wire
from unbroken.sdk.conversation import Conversation, is_unheard
from unbroken.sdk.exchange import AppSecret, Bearer, Request, read
from unbroken.sdk.farewell import say_farewells
from unbroken.sdk.faults import Fault, FaultKind
from unbroken.sdk.install_key import key_of
from unbroken.sdk.linker import NO_OP, Linker, LinkerAnswer, LinkRequest
from unbroken.sdk.secret import Secret
from unbroken.sdk.state import State
from unbroken.sdk.steps import AskLinker, Flow

if TYPE_CHECKING:
    from unbroken.sdk.install_key import InstallKey
    from unbroken.sdk.memory import Memory

SDK_VERSION: Final = "0.1.0"
_LOST: Final = frozenset({FaultKind.DELETED, FaultKind.CLONED})


def initialise(talk: Conversation, linker: Linker | None, code: Secret | None = None) -> Flow[None]:
    """The table of sdk.md; returns where it says success.

    Args:
        talk: of this install.
        linker: the app's, asked at step 9.
        code: an authentication code to register with, in place of the app secret.

    Raises:
        Fault: where the table says fail; `INIT_ISSUES` names it.
    """
    if talk.state.app_id != talk.facts.app_id:  # 1; 2 is a transition that the table of InitState lacks
        raise Fault(FaultKind.CHANGED_APP, "the state on this device was made with another app id")
    yield from say_farewells(talk)
    try:
        yield from _initialise_once(talk, linker, code)
    except Fault as fault:
        if fault.kind not in _LOST:
            raise
        _forget_install(talk.memory, is_copy=fault.kind is FaultKind.CLONED)
        yield from _initialise_once(talk, linker, code)


def _initialise_once(talk: Conversation, linker: Linker | None, code: Secret | None) -> Flow[None]:
    if talk.state.install_id is None:
        yield from _register(talk, code)  # 3
    try:
        ticket = yield from talk.learn_own_state()  # 4
    except Fault as fault:
        if is_unheard(fault) and talk.state.linked:
            return
        raise
    _refuse_if_disabled(talk)  # 5
    if talk.state.linking == "off" or talk.state.linked:  # 6, 7
        return  # 11, 12
    if linker is None or linker is NO_OP:  # 8
        if talk.state.linking == "required":
            raise Fault(FaultKind.LINKER_FAILED, "the app requires linking and no linker is set")
        return
    yield from _ask_and_confirm(talk, linker, ticket)  # 9, 10


def _forget_install(memory: Memory, *, is_copy: bool) -> None:
    """Be a new device that keeps its settings (step 4: deleted or cloned)."""
    memory.update(
        lambda state: State(
            app_id=state.app_id,
            restored_from=state.install_id if is_copy else None,
            farewells=state.farewells,
            detections_enabled=state.detections_enabled,
            detections_until_ms=state.detections_until_ms,
            pin_update=state.pin_update,
            pin_misses=state.pin_misses,
        )
    )


def _refuse_if_disabled(talk: Conversation) -> None:
    if talk.state.install_state == "disabled":
        raise Fault(FaultKind.DISABLED, f"the platform has disabled this install: {talk.state.state_reason}")


# Registration


def _register(talk: Conversation, code: Secret | None) -> Flow[None]:
    """Step 3. The key is on disk before the request, the reply before anything else."""
    if code is None and not talk.facts.has_secret:
        raise Fault(FaultKind.UNAUTHENTICATED, "there is no user yet, and neither app secret nor code to make one")
    _choose_registration_key(talk, code)
    key = _install_key(talk)
    body = wire.Register(
        device=talk.facts.device,
        sdk=wire.SdkVersion(name="unbroken-python", version=SDK_VERSION),
        app_version=talk.facts.app_version,
        restored_from=talk.state.restored_from,
        authentication_code=code.reveal() if code else None,
        install_key=None if key is None else install_key.write(key.public_key()),
    )
    authorization = None if code else AppSecret(talk.facts.app_id)
    made_with = talk.state.registration_key
    request = Request("POST", "/sdk/installs", authorization, wire.encode(body), idempotency_key=made_with)
    _remember_registration(talk, read((yield from talk.send(request)), wire.Registered))


def _choose_registration_key(talk: Conversation, code: Secret | None) -> None:
    """The unfinished registration's key; a fresh one for the code of another account.

    Without a code an unfinished registration by code is finished: the platform knows it by its key.
    """
    state = talk.state
    made_for = _fingerprint(code) if code else state.registration_code
    if state.registration_key is None or made_for != state.registration_code:
        talk.memory.change(registration_key=talk.new_key(), registration_code=made_for)


def _install_key(talk: Conversation) -> InstallKey | None:
    """The app's, or one that is made now; the same one where an unfinished registration is repeated."""
    if talk.facts.install_key is None and talk.state.install_key is None:
        talk.memory.change(install_key=talk.new_seed())
    return key_of(talk.state.install_key, talk.facts.install_key)


def _remember_registration(talk: Conversation, registered: wire.Registered) -> None:
    talk.memory.change(
        install_id=registered.install_id,
        user_id=registered.user_id,
        credential=Secret(registered.install_credential),
        linked=registered.linked,
        install_state=registered.state,
        state_reason=registered.state_reason,
        linking=registered.config.linking,
        registration_key=None,
        registration_code=None,
        restored_from=None,
        **talk.token_fields(registered.user_token),
    )


# Linking


def link_through(talk: Conversation, linker: Linker) -> Flow[None]:
    """Link the existing user through a linker; the platform's word, not the linker's, makes it so.

    Raises:
        Fault: it is not linked after it.
    """
    ticket = yield from talk.learn_own_state()
    _refuse_if_disabled(talk)
    if not talk.state.linked:
        yield from _ask_and_confirm(talk, linker, ticket)


def _ask_and_confirm(talk: Conversation, linker: Linker, ticket: Secret | None) -> Flow[None]:
    answer = yield AskLinker(linker, _link_request(talk, ticket))  # 9
    assert isinstance(answer, LinkerAnswer)
    if not answer.is_success:
        raise Fault(FaultKind.LINKER_FAILED, str(answer.reason)) from answer.error
    yield from talk.learn_own_state()  # 10
    _refuse_if_disabled(talk)
    if not talk.state.linked:
        raise Fault(FaultKind.LINKER_FAILED, "the linker says it has linked, the platform says it has not")


def _link_request(talk: Conversation, ticket: Secret | None) -> LinkRequest:
    deadline_ms = talk.now_ms() + talk.facts.link_timeout_ms
    shown = None if ticket is None else ticket.reveal()
    return LinkRequest(talk.known_install(), shown, deadline_ms, talk.facts.app_id)


def link_with_code(talk: Conversation, code: Secret) -> Flow[None]:
    """Link the existing user with an authentication code (linking.md, rows 4 to 15).

    Raises:
        Fault: it was refused, or could not be asked.
    """
    made_for = _fingerprint(code)
    if talk.state.link_key is None or talk.state.link_code != made_for:
        talk.memory.change(link_key=talk.new_key(), link_code=made_for)
    key = talk.state.link_key
    body = wire.encode(wire.RedeemCode(code.reveal()))
    reply = yield from talk.send_as_user(
        lambda token: Request("POST", "/sdk/link", Bearer(token), body, idempotency_key=key)
    )
    talk.remember_own_state(read(reply, wire.OwnState))
    talk.memory.change(link_key=None, link_code=None)


def _fingerprint(code: Secret) -> str:
    return hashlib.sha256(code.reveal().encode()).hexdigest()
