"""Held: what is held on one person beside events and uploads, read in one snapshot, as lines of an archive."""

from __future__ import annotations

from base64 import b64encode
from bisect import bisect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from msgspec import Raw

from unbroken import wire
from unbroken.domain.ledger.facts import FactKind
from unbroken.domain.ledger.people import Span, activation_id
from unbroken.domain.payload import Outcome
from unbroken.flow import archive
from unbroken.flow.person_facts import facts_of_installs
from unbroken.store import answers, erasure, holdings, identity, ledger, refusals, retention, traces, users

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import AppId, ExternalId, FactId, InstallId, UserId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.facts import Fact
    from unbroken.domain.user import User
    from unbroken.flow.whose import Person
    from unbroken.store.contract import Transaction
    from unbroken.store.ledger import Entry


@dataclass(frozen=True, slots=True)
class Names:
    """What a person is called: ids (the retired ones and aliases with them), external ids, installs, oldest first."""

    users: list[User]
    external_ids: list[ExternalId]
    installs: list[Install]


async def names_of(tx: Transaction, of: Person) -> Names:
    """Everything the person is called."""
    found = await erasure.find(tx, of.app_id, of.user_id)  # what there is to erase of a person is what there is
    named = [user for one in found.users if (user := await identity.read_user(tx, of.app_id, one)) is not None]
    installs = [one for id_ in found.installs if (one := await identity.read_install(tx, of.app_id, id_)) is not None]
    in_order = sorted(installs, key=lambda install: install.place)
    return Names(sorted(named, key=current_first), sorted(found.external_ids), in_order)


def current_first(user: User) -> tuple[bool, bytes]:
    """How the ids of a person are ordered: the one that does not redirect is the first."""
    return (user.redirect is not None, user.user_id)


async def lines_of(tx: Transaction, of: Person, names: Names) -> list[bytes]:
    """Every line between the header and the events."""
    lines: list[archive.Line] = [user_line(user, of.user_id) for user in names.users]
    lines += [archive.ExternalId(one, of.user_id.hex()) for one in names.external_ids]
    lines += [await _install(tx, install) for install in names.installs]
    for install in names.installs:
        lines += map(span_line, await identity.read_spans(tx, install.install_id))
    facts = await _facts_of(tx, of.app_id, names)
    lines += [await _fact(tx, entry) for entry in facts.own]
    lines += map(_undone, facts.undone)
    lines += _tied(facts.own, await facts_of_installs(tx, of.app_id, [one.install_id for one in names.installs]))
    lines += await _beside(tx, of, names)
    return [archive.write(line) for line in lines]


def user_line(user: User, current: UserId) -> archive.User:
    """One of the person's ids; one that redirects may do so by way of others, which is nobody's concern."""
    redirect = None if user.redirect is None else current.hex()
    return archive.User(
        user.user_id.hex(), user.created_at, user.external_id, user.is_disabled, _hex(user.holder), redirect
    )


async def _install(tx: Transaction, install: Install) -> archive.Install:
    used, device = await identity.is_used(tx, install.install_id), await identity.device_of(tx, install.install_id)
    assert device is not None
    return install_line(install, used, await retention.kept_from(tx, install.install_id), Raw(device))


def install_line(install: Install, used: bool, kept_from: int, device: Raw) -> archive.Install:
    """One install."""
    return archive.Install(
        install_id=install.install_id.hex(),
        own_user=install.own_user.hex(),
        user_id=install.user.hex(),
        form=install.form.value,
        registered_at=install.registered_at,
        link_id=_hex(install.link),
        external_id=install.external_id,
        linked_at=install.linked_at,
        standing=install.standing.value,
        is_disabled=install.is_disabled,
        used=used,
        kept_from=kept_from,
        device=device,
    )


def span_line(span: Span) -> archive.Span:
    """One stretch of an install's life."""
    return archive.Span(
        install_id=span.install_id.hex(),
        user_id=span.user_id.hex(),
        state=span.state.value,
        outcome=span.outcome.value,
        from_=span.from_ms,
        to=span.to_ms,
        activation_id=activation_id(span).hex() if span.outcome is Outcome.ACCEPTED else None,
        cause=span.cause.hex(),
        rival=_hex(span.rival),
    )


def _hex(id_: bytes | None) -> str | None:
    return None if id_ is None else id_.hex()


# Facts


@dataclass(slots=True)
class _Facts:
    """The facts about a person, in the ledger's order, with the app's policies; and undone links of other installs."""

    own: list[Entry] = field(default_factory=list)
    undone: list[Entry] = field(default_factory=list)


async def _facts_of(tx: Transaction, app_id: AppId, names: Names) -> _Facts:
    installs = {install.install_id for install in names.installs}
    found = list(await ledger.policies(tx, app_id))
    for install_id in installs:
        found += await ledger.naming_install(tx, app_id, install_id)
    for user in names.users:
        naming = await ledger.naming_user(tx, app_id, user.user_id)
        found += [entry for entry in naming if entry.install_id is None or entry.install_id in installs]
    own = await _with_undos(tx, app_id, found)
    undone: list[Entry] = []
    for external_id in names.external_ids:
        naming = await ledger.naming_external_id(tx, app_id, external_id)
        undone += [one for one in naming if await _is_undone_elsewhere(tx, app_id, one, installs)]
    return _Facts(_in_order(own), _in_order(await _with_undos(tx, app_id, undone)))


async def _with_undos(tx: Transaction, app_id: AppId, entries: list[Entry]) -> dict[FactId, Entry]:
    """Some facts, and those that cancel them, and so on."""
    known: dict[FactId, Entry] = {}
    waiting = [entry for entry in entries if not entry.is_hidden]
    while waiting:
        entry = waiting.pop()
        if entry.fact_id not in known:
            known[entry.fact_id] = entry
            if entry.kind in {FactKind.LINKED, FactKind.UNLINKED}:
                waiting += await ledger.cancelling(tx, app_id, entry.fact_id)
    return known


async def _is_undone_elsewhere(tx: Transaction, app_id: AppId, entry: Entry, installs: set[InstallId]) -> bool:
    """Whether it is a link of somebody else's install that does not stand."""
    if entry.kind is not FactKind.LINKED or entry.is_hidden or entry.install_id in installs:
        return False
    return bool(await ledger.cancelling(tx, app_id, entry.fact_id))


def _in_order(entries: dict[FactId, Entry]) -> list[Entry]:
    return sorted(entries.values(), key=lambda entry: entry.position)


async def _fact(tx: Transaction, entry: Entry) -> archive.Fact | archive.Policy:
    fields = dict(entry.fields or {})
    if entry.kind is FactKind.POLICY_CHANGED:
        return archive.Policy(entry.fact_id.hex(), entry.at, fields, entry.actor, entry.reason)
    trace = await traces.trace_of(tx, entry.fact_id)
    answer = await answers.answer_to(tx, entry.fact_id)
    return archive.Fact(
        fact_id=entry.fact_id.hex(),
        at=entry.at,
        fact=entry.kind.value,
        install_id=_hex(entry.install_id),
        user_id=_hex(entry.user_id),
        external_id=entry.external_id,
        fields=fields,
        actor=entry.actor,
        reason=entry.reason,
        trace=trace,
        undo_answer=archive.NULL if answer is None else Raw(answer),
    )


def _undone(entry: Entry) -> archive.Undone:
    return archive.Undone(entry.fact_id.hex(), entry.at, entry.kind.value, entry.external_id, entry.actor, entry.reason)


def _tied(own: Sequence[Entry], reached: Sequence[Fact]) -> list[archive.Tied]:
    """What the undo of a link of this person can reach, and is not its own, between the facts that are."""
    mine, positions = {entry.fact_id for entry in own}, [entry.position for entry in own]
    others: dict[str | None, list[str]] = {}
    for fact in reached:
        if fact.fact_id not in mine:
            place = bisect(positions, fact.position)
            before = own[place].fact_id.hex() if place < len(own) else None
            others.setdefault(before, []).append(fact.fact_id.hex())
    return [archive.Tied(facts, before) for before, facts in others.items()]


def _refused(install_id: InstallId, body: bytes) -> archive.RefusedLink:
    at = wire.parse_iso(wire.decode(body, wire.RefusedLink).at)
    assert at is not None
    return archive.RefusedLink(install_id.hex(), at, Raw(body))


# What is kept beside the ledger


async def _beside(tx: Transaction, of: Person, names: Names) -> list[archive.Line]:
    ids = [user.user_id for user in names.users]
    pairs = [(one.hex(), await users.metadata(tx, one)) for one in ids]
    lines: list[archive.Line] = [archive.Metadata(one, pairs_of) for one, pairs_of in pairs if pairs_of]
    for install in names.installs:
        kept_refusals = reversed(await refusals.of_install(tx, install.install_id, wire.LATEST_MS))
        lines += [_refused(install.install_id, body) for body in kept_refusals]
    for external_id in names.external_ids:
        codes = await holdings.codes_for(tx, of.app_id, external_id)
        lines += [archive.Code(code.external_id, code.expires_at, _hex(code.redeemed_by), code.actor) for code in codes]
    for one in ids:
        kept = await holdings.answers_about(tx, one)
        lines += [archive.Answer(caller.hex(), at, reply.decode("utf-8", "replace")) for caller, at, reply in kept]
    floor = await retention.floor(tx, of.user_id)
    if floor is not None:
        lines.append(archive.Floor(floor.at_ms, b64encode(floor.state).decode(), floor.last_fix))
    return lines
