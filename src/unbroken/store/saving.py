"""Saving: what facts have touched of installs, users, spans and carriers is written, as `identity` loaded it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.store.sealed import seal, seal_if_any, seal_kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from unbroken.domain.ids import AppId, ExternalId, InstallId, UserId
    from unbroken.domain.install import Install
    from unbroken.domain.ledger.people import People, Span
    from unbroken.domain.user import User
    from unbroken.store.contract import Transaction, Value

_SET_OWN_USER: Final = "UPDATE installs SET own_user = $2 WHERE install_id = $1"
_UPDATE_INSTALL: Final = (
    "UPDATE installs SET user_id = $2, named_at = $3, link = $4, sealed_id = $5, linked_at = $6, standing = $7,"
    " is_disabled = $8 WHERE install_id = $1"
)
_INSERT_INSTALL: Final = (
    "INSERT INTO installs (install_id, app_id, own_user, user_id, form, registered_at, place, named_at, link,"
    " sealed_id, linked_at, standing, is_disabled, used, device, credential_digest, credential_key, install_key)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, FALSE, $14, $15, $16, $17)"
)
_UPSERT_USER: Final = (
    "INSERT INTO users (user_id, app_id, created_at, named_at, touched_at, sealed_id, holder, is_disabled, redirect,"
    " metadata) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '{}')"
    " ON CONFLICT (user_id) DO UPDATE SET named_at = excluded.named_at, touched_at = excluded.touched_at,"
    " sealed_id = excluded.sealed_id, holder = excluded.holder, is_disabled = excluded.is_disabled,"
    " redirect = excluded.redirect"
)
CARRY: Final = (
    "INSERT INTO carriers (app_id, sealed_id, user_id) VALUES ($1, $2, $3)"
    " ON CONFLICT (app_id, sealed_id) DO UPDATE SET user_id = excluded.user_id"
)
RELEASE: Final = "DELETE FROM carriers WHERE app_id = $1 AND sealed_id = $2"
_CUT_SPANS: Final = "DELETE FROM spans WHERE install_id = $1 AND from_ms >= $2"
_ADD_SPAN: Final = (
    "INSERT INTO spans (install_id, user_id, state, outcome, from_ms, to_ms, cause, rival)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
)


async def save(tx: Transaction, people: People, app_id: AppId, before: Mapping[InstallId, Sequence[Span]]) -> None:
    """Write what facts have touched.

    Args:
        before: of each install that was loaded, those of its spans that were, as they were then.
    """
    await _save_users(tx, app_id, [people.users[user_id] for user_id in sorted(people.touched_users)])
    await _save_carriers(tx, app_id, people.released, {one: people.carriers[one] for one in people.touched_carriers})
    there = sorted(people.touched_installs & before.keys())
    await _save_installs(tx, app_id, [people.installs[install_id] for install_id in there])
    moved = [install_id for install_id in there if people.spans[install_id] != before[install_id]]
    cut_from = {install_id: 0 if install_id in people.voided else before[install_id][0].from_ms for install_id in moved}
    await tx.many(_CUT_SPANS, list(cut_from.items()))
    spans = [span for one in {*moved, *(people.touched_installs - before.keys())} for span in people.spans[one]]
    await tx.many(_ADD_SPAN, [_span_values(span) for span in sorted(spans, key=_ends_first)])


async def insert_install(
    tx: Transaction,
    app_id: AppId,
    install: Install,
    *,
    device: str,
    credential_digest: bytes,
    credential_key: str | None,
    install_key: bytes | None,
) -> None:
    """Write an install that was registered in this transaction, as it stands at its end.

    Args:
        device: JSON of what the SDK reported.
        credential_digest: of its first install credential.
        credential_key: the idempotency key of the exchange that gave it out.
        install_key: its public half, if the install has one.
    """
    await tx.run(
        _INSERT_INSTALL,
        install.install_id,
        app_id,
        install.own_user,
        install.user,
        install.form.value,
        install.registered_at,
        install.place,
        install.named_at,
        install.link,
        await seal_if_any(tx, app_id, install.external_id),
        install.linked_at,
        install.standing.value,
        install.is_disabled,
        device,
        credential_digest,
        await seal_kept(tx, install.install_id, credential_key),
        install_key,
    )


async def replace(tx: Transaction, before: People, after: People, app_id: AppId) -> None:
    """Write what a fold over all facts of some people says, in the place of what the tables say.

    Args:
        before: what the tables say now (`load_whole`).
        after: of the same installs; users may have come to be.
    """
    differing = [user for user in after.users.values() if user != before.users.get(user.user_id)]
    await _save_users(tx, app_id, differing)
    await _save_carriers(tx, app_id, before.carriers.keys() - after.carriers.keys(), after.carriers)
    changed = [one for one in after.installs if after.spans[one] != before.spans[one]]
    await tx.many(_CUT_SPANS, [(install_id, 0) for install_id in changed])
    await tx.many(_SET_OWN_USER, [(install.install_id, install.own_user) for install in after.installs.values()])
    await _save_installs(tx, app_id, list(after.installs.values()))
    spans = [span for install_id in changed for span in after.spans[install_id]]
    await tx.many(_ADD_SPAN, [_span_values(span) for span in sorted(spans, key=_ends_first)])


def _ends_first(span: Span) -> tuple[bool, bytes, int]:
    """Ends before beginnings, so that at no moment two activations of one user are open."""
    return (span.to_ms is None, span.install_id, span.from_ms)


async def _save_users(tx: Transaction, app_id: AppId, users: Sequence[User]) -> None:
    rows = [
        (
            user.user_id,
            app_id,
            user.created_at,
            user.named_at,
            user.touched_at,
            await seal_if_any(tx, app_id, user.external_id),
            user.holder,
            user.is_disabled,
            user.redirect,
        )
        for user in users
    ]
    await tx.many(_UPSERT_USER, rows)


async def _save_carriers(
    tx: Transaction, app_id: AppId, released: Iterable[ExternalId], carried: Mapping[ExternalId, UserId]
) -> None:
    await tx.many(RELEASE, [(app_id, await seal(tx, app_id, one)) for one in sorted(released)])
    await tx.many(CARRY, [(app_id, await seal(tx, app_id, one), carried[one]) for one in sorted(carried)])


async def _save_installs(tx: Transaction, app_id: AppId, installs: Sequence[Install]) -> None:
    rows = [
        (
            install.install_id,
            install.user,
            install.named_at,
            install.link,
            await seal_if_any(tx, app_id, install.external_id),
            install.linked_at,
            install.standing.value,
            install.is_disabled,
        )
        for install in installs
    ]
    await tx.many(_UPDATE_INSTALL, rows)


def _span_values(span: Span) -> tuple[Value, ...]:
    return (
        span.install_id,
        span.user_id,
        span.state.value,
        span.outcome.value,
        span.from_ms,
        span.to_ms,
        span.cause,
        span.rival,
    )
