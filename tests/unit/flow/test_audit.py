"""The audit log: whatever is done to it is noticed, a change without its entry is refused, and it names nobody."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from unbroken import wire
from unbroken.domain.errors import InvalidRequest
from unbroken.flow import administer, audit, audit_log, codes, erase, operate, register
from unbroken.store import audit as rows
from unbroken.store.contract import CallRefused, StoreError
from unbroken.testing.in_process import InProcess

REMOVE_ALL = "DELETE FROM audit WHERE position > $1"
CHANGE = "UPDATE audit SET content = $2 WHERE position = $1"
TAMPERINGS = 400


def in_platform(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            return await story(platform)

    return asyncio.run(whole())


async def some_history(platform, people=8):
    """Installs that are registered, linked, replaced and stopped: some 40 entries."""
    for number in range(people):
        first, second = await platform.register(), await platform.register()
        await platform.link(first, f"anna-{number}@example.com")
        await platform.link(second, f"anna-{number}@example.com")
    order = operate.Order("her husband Karl called")
    await operate.set_install_state(platform.context, platform.key, first.install_id, "disabled", order)
    return first


async def entries(platform):
    return await platform.context.store.read(lambda tx: rows.entries_after(tx, 0, 1_000_000))


async def put(platform, kept):
    """The table, as if these had always been its rows."""

    async def write(tx):
        await tx.run(REMOVE_ALL, 0)
        await tx.many(rows.ADD, kept)

    await platform.context.store.write(write)


# Tampering


def tampered(kept):
    """Four ways to lie, wherever there is a place for it: the rows, and the first one that is not as it was."""
    for place in range(len(kept) - 1):
        one, after = kept[place], kept[place + 1]
        told = one.content.replace(b'"at":', b'"At":', 1)
        yield "edited", [*kept[:place], one._replace(content=told), *kept[place + 1 :]], one.position
        gap = [*kept[:place], *kept[place + 1 :]]
        yield "deleted", gap, one.position
        closed = [*kept[:place], *(row._replace(position=row.position - 1) for row in kept[place + 1 :])]
        yield "deleted, and the gap closed", closed, one.position
        swapped = [after._replace(position=one.position), one._replace(position=after.position)]
        yield "swapped", [*kept[:place], *swapped, *kept[place + 2 :]], one.position
        for length in (2, 5):
            if place + length < len(kept):
                yield "middle cut", [*kept[:place], *kept[place + length :]], one.position
        yield "end cut", kept[: place + 1], after.position
        forged = [after._replace(content=one.content, hash=one.hash)]
        yield "repeated", [*kept[: place + 1], *forged, *kept[place + 2 :]], after.position


def test_four_hundred_tamperings_are_noticed_each_at_its_first_bad_entry(tmp_path):
    async def story(platform):
        await some_history(platform, people=16)
        kept, anchor = await entries(platform), await audit_log.head(platform.context)
        count = 0
        for how, changed, first in tampered(kept):
            await put(platform, changed)
            told = await audit_log.verify(platform.context, [anchor])
            assert told.bad is not None, how
            assert (told.bad.position, told.entries) == (first, first - 1), how
            count += 1
        await put(platform, kept)
        assert (await audit_log.verify(platform.context, [anchor])).bad is None
        return count

    assert in_platform(tmp_path, story) >= TAMPERINGS


def test_a_log_that_is_cut_at_its_end_is_whole_to_who_knows_of_no_more(tmp_path):
    async def story(platform):
        await some_history(platform, people=2)
        kept = await entries(platform)
        early = await audit_log.head(platform.context)
        await some_history(platform, people=2)
        late = await audit_log.head(platform.context)
        await put(platform, kept)
        return [
            (await audit_log.verify(platform.context, heads)).bad is None
            for heads in ([], [early], [late], [early, late])
        ] + [await audit_log.still_holds(platform.context, head) for head in (early, late)]

    assert in_platform(tmp_path, story) == [True, True, False, False, True, False]


def test_who_writes_rows_without_the_keys_cannot_write_the_log_anew(tmp_path):
    async def story(platform):
        await some_history(platform, people=2)
        kept = await entries(platform)
        forger = replace(platform.context.vault, signing_key=b"another key of thirty-two bytes!")
        noted = [rows.Noted(row.content, forger.seal_entry) for row in kept]
        await put(platform, list(rows.chained(rows.EMPTY, noted)))
        return (await audit_log.verify(platform.context)).bad

    assert in_platform(tmp_path, story).position == 1


def test_a_head_that_was_changed_or_is_of_something_else_is_refused(tmp_path):
    async def story(platform):
        phone = await some_history(platform, people=1)
        head = await audit_log.head(platform.context)
        receipt = await erase.erase(platform.context, platform.key, phone.own_user_id, dry_run=False)
        good = wire.encode(head)
        assert audit_log.read_heads(platform.context, good + b"\n" + good + b"\n") == [head, head]
        assert audit_log.read_heads(platform.context, json.dumps(json.loads(good), indent=2).encode()) == [head]
        assert audit_log.read_heads(platform.context, good + b"\n" + good[:40]) == [head], "half a line at the end"
        half = good[:40] + b"\n"
        for bad in (
            half + good,
            good + b"\n" + half,
            good.replace(b'"entries":', b'"entries":1'),
            wire.encode(receipt),
            b"[]",
            b"x",
            b'{"of":1}',
        ):
            with pytest.raises(InvalidRequest):
                audit_log.read_heads(platform.context, bad)

    in_platform(tmp_path, story)


# With the change, or not at all


FULL_SQLITE = (
    "CREATE TRIGGER full_disk BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
)
RAISING = (
    "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
    " $f$ BEGIN RAISE EXCEPTION 'No space left' USING ERRCODE = '53100'; END $f$"
)
FULL_POSTGRES = (
    RAISING,
    "CREATE TRIGGER full_disk BEFORE INSERT ON audit FOR EACH STATEMENT EXECUTE FUNCTION full_disk()",
)


ROOM_AGAIN = {"sqlite": "DROP TRIGGER full_disk", "postgres": "DROP TRIGGER full_disk ON audit"}


def test_where_nothing_can_be_written_down_nothing_is_changed_until_there_is_room(tmp_path, engine):
    async def story(platform):
        context = platform.context
        phone = await platform.register()
        before = await tables_of(platform)
        statements = (FULL_SQLITE,) if engine == "sqlite" else FULL_POSTGRES

        async def fill(tx):
            for statement in statements:
                await tx.run(statement)

        await context.store.write(fill)
        asked = [platform.link(phone, f"anna-{number}") for number in range(5)]
        asked += [platform.register() for _ in range(5)]
        asked += [administer.create_app(context, "b"), codes.mint(context, platform.key, "bert", None)]
        told = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(one, StoreError) for one in told), told
        assert await tables_of(platform) == before
        await context.store.write(lambda tx: tx.run(ROOM_AGAIN[engine]))
        await platform.link(phone, "anna-0")
        assert (await audit_log.verify(context)).bad is None
        assert len(await entries(platform)) == len(before[-1]) + 1

    in_platform(tmp_path, story)


async def tables_of(platform):
    async def load(tx):
        names = ("apps", "facts", "installs", "users", "carriers", "auth_codes", "audit")
        return [sorted(map(repr, await tx.all(f"SELECT * FROM {name}"))) for name in names]

    return await platform.context.store.read(load)


def test_a_call_that_is_refused_or_only_tried_leaves_no_entry(tmp_path):
    async def story(platform):
        phone, other = await platform.register(), await platform.register()
        before = len(await entries(platform))
        await platform.link(phone, "anna", dry_run=True)
        with pytest.raises(Exception, match=r"valid|external"):
            await platform.link(phone, "null")
        assert len(await entries(platform)) == before
        await asyncio.gather(*(platform.link(one, "anna") for one in (phone, other)))
        assert len(await entries(platform)) == before + 2

    in_platform(tmp_path, story)


def test_a_read_writes_nothing_down(tmp_path):
    async def story(platform):
        event = audit.Event(audit.What.APP_CREATED, "operator")

        async def read(tx):
            await tx.one("SELECT 1")
            audit.note(platform.context, tx, event)

        with pytest.raises(CallRefused):
            await platform.context.store.read(read)

    in_platform(tmp_path, story)


def test_calls_at_once_of_two_processes_make_one_chain(tmp_path):
    async def story(platform):
        async with InProcess(tmp_path, seed=2) as other:
            for one in (platform, other):
                one.phones = [await one.register() for _ in range(12)]
            for place in range(12):
                both = ((one, one.phones[place]) for one in (platform, other))
                await asyncio.gather(*(one.link(phone, f"account-{place}") for one, phone in both))
            told = await audit_log.verify(platform.context)
            facts = await platform.context.store.read(lambda tx: tx.one("SELECT count(*) FROM facts"))
            kinds = [json.loads(row.content)["what"] for row in await entries(platform)]
        assert told.bad is None
        assert sum(kind in {"registered", "linked"} for kind in kinds) == facts[0] == 48
        assert [right - left for left, right in pairwise(row.position for row in await entries(platform))] == [1] * (
            told.entries - 1
        )

    in_platform(tmp_path, story)


# Whom it names


def test_no_person_is_named_in_clear_and_an_erased_one_can_still_be_looked_for(tmp_path):
    async def story(platform):
        context = platform.context
        phone = await some_history(platform, people=1)
        link_id = (await platform.link(await platform.register(), "anna-0@example.com")).link_id
        minted = await codes.mint(context, platform.key, "anna-0@example.com", None)
        body = wire.Register(wire.Device("ios"), wire.SdkVersion("a", "1"))
        body = wire.Register(body.device, body.sdk, authentication_code=minted.authentication_code)
        third = await register.register(context, None, body, None)
        found = await erase.names(context, platform.key, phone.own_user_id)
        text = b"\n".join(row.content for row in await entries(platform)).decode()
        names = [*(id_.hex() for id_ in found.ids), link_id, third.install_id, "anna-0", "Karl"]
        assert [name for name in names if name in text] == []
        receipt = await erase.erase(context, platform.key, phone.own_user_id, dry_run=False)
        erased = [one for one in map(audit_log.view_of, await entries(platform)) if one["what"] == "erased"]
        assert [receipt.user.startswith(one["user"]) for one in erased] == [True]
        account = audit.name_of_account(context, platform.app.app_id, "anna-0@example.com")
        named = await audit_log.newest(context, lambda one: one.get("external_id") == account, 100)
        assert {one["what"] for one in named} == {"linked", "code minted", "code redeemed"}

    in_platform(tmp_path, story)


def test_an_undo_and_its_undo_are_found_by_the_install_whose_link_it_was(tmp_path):
    async def story(platform):
        phone = await platform.register()
        link = await platform.link(phone, "anna")
        undone = await platform.undo(link.link_id)
        await platform.undo(undone.undo_id)
        named = audit.name_of(platform.context, bytes.fromhex(phone.install_id))
        return [
            one["what"] for one in await audit_log.newest(platform.context, lambda one: one.get("install") == named, 9)
        ]

    assert in_platform(tmp_path, story) == ["unlinked", "unlinked", "linked", "registered"]


def test_the_operator_is_named_by_the_account_that_ran_the_command(tmp_path):
    async def story(platform):
        await administer.create_app(replace(platform.context, account="deploy"), "by hand")
        await administer.create_app(platform.context, "by nobody")
        return [one["actor"] for one in await audit_log.newest(platform.context, lambda _: True, 2)]

    assert in_platform(tmp_path, story) == ["operator", "operator:deploy"]


# What it costs


def test_the_entries_of_a_group_cost_it_one_statement(tmp_path, engine):
    async def story(platform):
        if engine == "sqlite":
            return
        phones = [await platform.register() for _ in range(16)]
        asked: list[str] = []
        store: Any = platform.context.store
        store._writer._connection.add_query_logger(lambda record: asked.append(record.query))
        await asyncio.gather(*(platform.link(phone, f"account-{place}") for place, phone in enumerate(phones)))
        groups = sum(query == "COMMIT" for query in asked)
        assert groups < 16
        assert sum("audit" in query for query in asked) == groups
        assert len(await entries(platform)) >= 32

    in_platform(tmp_path, story)
