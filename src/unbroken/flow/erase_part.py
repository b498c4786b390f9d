"""Erase a part of a person: one install with all it captured, or all that was captured in a stretch of time.

The person stays, with its ledger: that the install was there, and since when it counted, is not undone. What is left
of the timeline is computed in the same transaction. Both are refused where retention has let payloads go of which the
timeline still tells: what cannot be told apart cannot be erased apart.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from unbroken import wire
from unbroken.domain.errors import HistoryExpired, InvalidRequest
from unbroken.domain.ids import InstallId, UserId
from unbroken.domain.late_windows import LateWindows
from unbroken.domain.ledger.facts import FactKind
from unbroken.domain.standing import Standing
from unbroken.flow.authenticate import still_admitted
from unbroken.flow.dry_run import DryRun
from unbroken.flow.erase import Erasing, given_again, kept_receipt
from unbroken.flow.items import corrected, judge_uploads
from unbroken.flow.purge import IN_A_MOMENT_BYTES, purge, scrub
from unbroken.flow.recording import Recording
from unbroken.flow.retention import is_kept_since
from unbroken.flow.take import keep_or_set_aside, opened
from unbroken.flow.timeline import compute_within
from unbroken.flow.tokens import leave
from unbroken.flow.uploads import compress, identity_of, item_of, reopen, times_of
from unbroken.flow.whose import install_of_app, person
from unbroken.store import erasure, identity, payloads, tombstones
from unbroken.store.ledger import Entry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping

    from msgspec import Raw

    from unbroken.domain.install import Install
    from unbroken.flow.authenticate import KeyCaller
    from unbroken.flow.context import Context
    from unbroken.store.contract import Transaction
    from unbroken.store.payloads import Upload

_NOTHING_REPORTED: Final = wire.encode(
    {"device": wire.Device("other"), "sdk": wire.SdkVersion("", ""), "app_version": None, "restored_from": None}
).decode()
_EXPIRED: Final = "Payloads that this timeline was made from are no longer kept, so a part of it cannot be erased."
_ERASE_ALL: Final = "Erase the whole user instead."


# One install


async def erase_install(context: Context, caller: KeyCaller, install_id: str, *, dry_run: bool) -> wire.Receipt:
    """DELETE /v3/installs/{install_id}: what it captured and reported is gone; repeated, it gives the same receipt.

    Raises:
        NotFound: no such install, or one of an erased user.
        HistoryExpired.
    """

    async def run(tx: Transaction) -> _Done:
        await still_admitted(tx, caller)
        install = await install_of_app(tx, caller, install_id)
        before = await tombstones.find(tx, context.vault.tombstone(install.install_id), "install")
        if before is not None:
            kept = await kept_receipt(tx, before[1])
            return given_again(kept, dry_run=dry_run), [install.install_id]
        await _refuse_expired(tx, [install.install_id], install.registered_at)
        erasing = Erasing(context.tried(dry_run), tx, caller.app.app_id, caller.actor, dry_run)
        return await _erase_install(erasing, caller, install), [install.install_id]

    return await _run(context, run)


async def _erase_install(erasing: Erasing, caller: KeyCaller, install: Install) -> wire.Receipt:
    context, tx = erasing.context, erasing.tx
    recording = await Recording.of_key(context, tx, caller, "erased")
    await recording.load_install(install.install_id)
    if recording.standing(install.install_id) is not Standing.DELETED:
        await leave(recording, install.install_id)
    waiting = await context.log.take(tx, install.install_id)
    deleted = await erasure.empty_install(tx, install.install_id, _NOTHING_REPORTED)
    deleted["waiting uploads"] = len(waiting)
    await _tell_anew(tx, install.user, deleted, (install.registered_at, wire.LATEST_MS))
    receipt_id = context.randomness.secret(12)
    digest = context.vault.tombstone(install.install_id)
    await tombstones.add(tx, erasing.app_id, "install", [digest], receipt_id)
    receipt = _receipt(erasing, "install", receipt_id, install.user, deleted, install=digest.hex())
    await _record(erasing, receipt, install.user, install.install_id)
    return await erasing.finish(receipt, receipt_id)


# A stretch of time


async def erase_items(
    context: Context, caller: KeyCaller, user_id: str, from_ms: int, to_ms: int, *, dry_run: bool
) -> wire.Receipt:
    """DELETE /v3/users/{user_id}/items: every item captured in `[from_ms, to_ms)` is gone, whatever became of it.

    Items that were never valid go with the uploads that reach into that time. What a phone has not sent yet is kept
    when it comes; say it again then.

    Raises:
        InvalidRequest: it ends before it begins.
        NotFound, HistoryExpired.
    """
    if from_ms >= to_ms:
        raise InvalidRequest.at("to", "The end must lie after the beginning.")

    async def run(tx: Transaction) -> _Done:
        await still_admitted(tx, caller)
        of = await person(tx, caller, user_id)
        installs = [one.install_id for one in await identity.read_installs_of(tx, of.app_id, of.user_id)]
        await _refuse_expired(tx, installs, from_ms)
        erasing = Erasing(context.tried(dry_run), tx, of.app_id, caller.actor, dry_run)
        deleted: erasure.Deleted = dict(await _erase_items(erasing, of.user_id, installs, (from_ms, to_ms)))
        await _tell_anew(tx, of.user_id, deleted, (from_ms, to_ms))
        receipt_id = context.randomness.secret(12)
        receipt = _receipt(erasing, "items", receipt_id, of.user_id, deleted, window=(from_ms, to_ms))
        await _record(erasing, receipt, of.user_id, None)
        return await erasing.finish(receipt, receipt_id), installs

    return await _run(context, run)


async def _erase_items(
    erasing: Erasing, user_id: UserId, installs: Iterable[InstallId], window: tuple[int, int]
) -> Counter[str]:
    """Take the items out of every upload that holds a copy of one, be it processed or not."""
    tx = erasing.tx
    waited = await _take_waiting(erasing, installs)
    kept = await payloads.of_user_between(tx, user_id, *window)
    gone = _captured_within(kept, window)
    told: Counter[str] = Counter({"items": len(gone), "payloads": 0, "payloads rewritten": 0, "waiting uploads": 0})
    for install_id, upload in kept:
        became = await _rewrite(tx, install_id, upload, gone)
        told["waiting uploads" if upload.seq in waited and became != _UNTOUCHED else became] += 1
    for install_id, upload in kept:
        await _set_reach(tx, install_id, upload)
    del told[_UNTOUCHED]
    return told


async def _take_waiting(erasing: Erasing, installs: Iterable[InstallId]) -> set[int]:
    """Keep what waits in the log, so that a copy there and a copy kept are found together; returns the positions.

    Of an install that was erased alone an upload may have been on its way: it is dropped, as `take.py` would.
    """
    tx, context = erasing.tx, erasing.context
    taken: set[int] = set()
    for install_id in installs:
        records = await context.log.take(tx, install_id)
        if not await tombstones.is_gone(tx, context.vault.tombstone(install_id), "install"):
            await keep_or_set_aside(tx, [opened(*one) for one in records], context.clock.now_ms())
            taken |= {position for position, _ in records}
    return taken


_Gone = set[tuple[InstallId, bytes]]
"""Items, by what makes them equal to their copies."""

_UNTOUCHED: Final = "untouched"


def _captured_within(uploads: Collection[tuple[InstallId, Upload]], window: tuple[int, int]) -> _Gone:
    """Which items: it depends on when they were captured alone, and not on what became of them."""
    judged = judge_uploads(uploads, {}, LateWindows())
    return {(one.install_id, one.identity) for one in judged if window[0] <= one.captured_at < window[1]}


def _without(kept: bytes, install_id: InstallId, gone: _Gone) -> tuple[bytes, bool] | None:
    """An upload without some items, and without what was never valid; None where nothing is left of it.

    Returns:
        The body, and whether it is another one.
    """
    body = reopen(kept)
    before = sum(len(payload.items) for payload in body.payloads)
    for payload in body.payloads:
        payload.items = [raw for raw in payload.items if _stays(raw, install_id, gone)]
    body.payloads = [payload for payload in body.payloads if payload.items]
    after = sum(len(payload.items) for payload in body.payloads)
    if not after:
        return None
    return (kept, False) if after == before else (compress(wire.encode(body)), True)


def _stays(raw: Raw, install_id: InstallId, gone: _Gone) -> bool:
    item = item_of(raw)
    return not isinstance(item, str) and (install_id, identity_of(item)) not in gone


async def _rewrite(tx: Transaction, install_id: InstallId, upload: Upload, gone: _Gone) -> str:
    rest = _without(upload.body, install_id, gone)
    if rest is None:
        await erasure.drop_upload(tx, install_id, upload.seq)
        return "payloads"
    if not rest[1]:
        return _UNTOUCHED
    _, first_t, last_t = times_of(rest[0])
    await erasure.rewrite_upload(tx, install_id, upload.seq, first_t=first_t, last_t=last_t, body=rest[0])
    return "payloads rewritten"


async def _set_reach(tx: Transaction, install_id: InstallId, before: Upload) -> None:
    """How far the upload reaches now, as `take.keep_uploads` has it: as far as any copy of an item in it."""
    now = await payloads.one(tx, install_id, before.seq)
    if now is None:
        return
    (rivals,) = await payloads.rivals(tx, [(install_id, now)])
    reaches = [corrected(one.last_t, one.offset_ms) for one in rivals]
    await erasure.set_reach(tx, install_id, now.seq, max([corrected(now.last_t, now.offset_ms), *reaches]))


# Both


_Done: TypeAlias = "tuple[wire.Receipt, list[InstallId]]"
"""The answer, and the installs that something was taken from."""


async def _run(context: Context, run: Callable[[Transaction], Awaitable[_Done]]) -> wire.Receipt:
    try:
        receipt, touched = await context.store.write(run)
    except DryRun as dry:
        return dry.answer_as(wire.Receipt)
    await scrub(context, touched)
    await purge(context, rewrite_up_to_bytes=IN_A_MOMENT_BYTES)
    return receipt


async def _refuse_expired(tx: Transaction, installs: Collection[InstallId], from_ms: int) -> None:
    if not await is_kept_since(tx, installs, from_ms):
        raise HistoryExpired(_EXPIRED, hint=_ERASE_ALL)


async def _tell_anew(tx: Transaction, user_id: UserId, deleted: erasure.Deleted, window: tuple[int, int]) -> None:
    """The timeline as it is without, in this transaction, and nothing of what it told before."""
    deleted |= await erasure.drop_replays(tx, user_id)
    await compute_within(tx, user_id, window[0])
    deleted["events"] = await erasure.drop_removed_events(tx, user_id, *window)


def _receipt(
    erasing: Erasing,
    erased: str,
    receipt_id: bytes,
    user_id: UserId,
    deleted: Mapping[str, int],
    *,
    install: str | None = None,
    window: tuple[int, int] | None = None,
) -> wire.Receipt:
    receipt = wire.Receipt(
        receipt_id=receipt_id.hex(),
        application_id=erasing.app_id.hex(),
        erased="install" if erased == "install" else "items",
        user=erasing.context.vault.tombstone(user_id).hex(),
        erased_at=wire.iso(erasing.context.clock.now_ms()),
        deleted=dict(deleted),
        install=install,
    )
    if window is None:
        return receipt
    return msgspec.structs.replace(receipt, from_=wire.iso(window[0]), to=wire.iso(window[1]))


async def _record(erasing: Erasing, receipt: wire.Receipt, user_id: UserId, install_id: InstallId | None) -> None:
    """The person stays, so the ledger may say in clear whose data was erased, and by which receipt."""
    now_ms = erasing.context.clock.now_ms()
    named = {"receipt_id": receipt.receipt_id, "erased": receipt.erased, "from": receipt.from_, "to": receipt.to}
    entry = Entry(
        erasing.new_fact_id(now_ms),
        now_ms,
        FactKind.ERASED,
        erasing.actor,
        install_id=install_id,
        user_id=user_id,
        fields={name: value for name, value in named.items() if value is not None},
    )
    await erasing.record(entry, user_id)
