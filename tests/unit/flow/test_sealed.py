"""What whoever copies the database finds: no external id and no secret in clear, and what the data map says."""

from __future__ import annotations

import asyncio
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.faults.busy import live
from tests.model.api import random_uuid

from unbroken import wire
from unbroken.credentials import body_hash
from unbroken.domain.errors import Refusal
from unbroken.flow import administer, authenticate, codes, erase, export, keys, link, profile, register, rename, tokens
from unbroken.flow.operate import Order
from unbroken.flow.repeat import Repeatable
from unbroken.flow.traces import Names, search
from unbroken.flow.verify import Rule, Wanted, verify
from unbroken.store.contract import CallRefused
from unbroken.store.data_map import TABLES, Kind
from unbroken.testing.in_process import KEY_RING, InProcess

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from pathlib import Path

ANNA, OLD, CODE, PLACEHOLDER = "anna-dMrGv2xqKT", "annas-old-pZw83nQhYd", "bens-Lq7vXjT2mC", "carls-Hw93bQzVtd"
RENEWED = "renewed-with-9fTqWz3k"


def on_a_platform(directory: Path, story: Callable[[InProcess], Awaitable[None]]) -> None:
    async def lived() -> None:
        async with InProcess(directory) as platform:
            await story(platform)

    asyncio.run(lived())


async def planted(platform: InProcess) -> dict[str, str]:
    """Every kind of external id and secret that is stored in any way, by what it is."""
    context, key = platform.context, platform.key

    def again(said: str) -> Repeatable:
        return Repeatable(key.key_id, said, body_hash(b""))

    made_key = await keys.create_key(context, platform.app.app_id, "backend", ["user.link"])
    other = await administer.create_app(context, "other")
    first, registration = await platform.register(), random_uuid("a registration")
    linked = await link.link(
        context,
        key,
        first.install_id,
        wire.Link(OLD),
        dry_run=False,
        same=Repeatable(key.key_id, "k-1", body_hash(b"")),
    )
    await platform.undo(linked.link_id)
    await platform.undo((await platform.undo(linked.link_id)).undo_id)
    await platform.link(await platform.register(), OLD)
    await rename.rename(context, key, linked.id, wire.Rename(ANNA), Order("a reason"))
    minted = await codes.mint(context, key, CODE, None)
    waiting = await codes.mint(context, key, CODE, again("k-2"))
    device, sdk = wire.Device("android"), wire.SdkVersion("test", "1")
    body = wire.Register(device, sdk, authentication_code=minted.authentication_code)
    made = await register.register(context, None, body, registration)
    spent = await authenticate.by_bearer(context, made.install_credential)
    assert isinstance(spent, authenticate.CredentialCaller)
    renewed = await tokens.renew(context, spent, RENEWED)
    for phone, name in ((first, PLACEHOLDER), (first, "null")):
        with pytest.raises(Refusal):
            await link.link(
                context,
                key,
                phone.install_id,
                wire.Link(name),
                dry_run=False,
                same=Repeatable(key.key_id, name, b"h" * 32),
            )
    return {
        "an external id": ANNA,
        "one that was renamed": OLD,
        "one that a code names": CODE,
        "one that was refused": PLACEHOLDER,
        "an app secret": other.app_secret,
        "an API key": made_key.api_key,
        "a spent code": minted.authentication_code,
        "an unspent code": waiting.authentication_code,
        "a spent install credential": made.install_credential,
        "an install credential": renewed.install_credential,
        "a user token": renewed.user_token.token,
        "the key of a registration": registration,
        "the key of a renewal": RENEWED,
    }


async def dump(platform: InProcess) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table."""
    store = platform.context.store
    return {
        table: [
            dict(zip(columns, row, strict=True))
            for row in await store.read_long(lambda tx, t=table, c=columns: tx.all(f"SELECT {', '.join(c)} FROM {t}"))
        ]
        for table, columns in (await store.catalogue()).items()
        if table != "sqlite_sequence"
    }


def cells(tables: dict[str, list[dict[str, Any]]]) -> Iterable[tuple[str, bytes]]:
    for table, rows in tables.items():
        for row in rows:
            for column, value in row.items():
                raw = value if isinstance(value, bytes) else str(value).encode()
                yield f"{table}.{column}", raw


def test_a_dump_holds_no_external_id_and_no_secret_in_clear(tmp_path):
    async def story(platform: InProcess) -> None:
        secrets = await planted(platform)
        found = [
            (what, where)
            for where, raw in cells(await dump(platform))
            for what, text in secrets.items()
            if text.encode() in raw or json.dumps(text).encode() in raw or text.encode().hex().encode() in raw
        ]
        assert found == []
        told = await profile.profile_by_external_id(platform.context, platform.key, OLD)
        assert told.external_id == ANNA
        archive = await export.export(platform.context, platform.key, told.id)
        exported = b"".join([line async for line in archive.lines()])
        archive.close()
        assert ANNA.encode() in exported
        assert OLD.encode() in exported
        for path in tmp_path.rglob("*"):
            content = path.read_bytes()
            assert [what for what, text in secrets.items() if text.encode() in content] == [], path

    on_a_platform(tmp_path, story)


def test_an_erased_person_leaves_no_sealed_text_either(tmp_path):
    async def story(platform: InProcess) -> None:
        await planted(platform)
        user_id = (await profile.profile_by_external_id(platform.context, platform.key, ANNA)).id
        found = await erase.names(platform.context, platform.key, user_id)
        texts = [KEY_RING.seal(1, platform.app.app_id, text) for text in (ANNA, OLD)]
        assert sorted(Names.of(found).canaries) == sorted(texts)
        await erase.erase(platform.context, platform.key, user_id, dry_run=False)
        assert await search(platform.context, tmp_path, Names.of(found)) == {}
        sealed = [text.encode() for text in texts]
        assert [where for where, raw in cells(await dump(platform)) if any(text in raw for text in sealed)] == []

    on_a_platform(tmp_path, story)


# The data map

_FORMS: dict[Kind, Callable[[Any], bool]] = {
    Kind.ID: lambda value: isinstance(value, bytes) and len(value) in {12, 32},
    Kind.INSTANT: lambda value: isinstance(value, int),
    Kind.NUMBER: lambda value: isinstance(value, int | bool),
    Kind.WORD: lambda value: isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9 :._-]+", value) is not None,
    Kind.HASHED: lambda value: isinstance(value, bytes) and len(value) in {0, 16, 32, 33},
    Kind.SEALED: lambda value: (value if isinstance(value, bytes) else value.encode())[:3] in {b"s1.", b""},
    Kind.RULE: lambda value: isinstance(value, str),
    Kind.NAMES_NOBODY: lambda value: isinstance(value, str | bytes),
    Kind.PERSONAL: lambda value: isinstance(value, str | bytes),
}


def test_every_column_has_a_class_and_holds_what_that_says(tmp_path):
    async def story(platform: InProcess) -> None:
        await live(platform)
        await planted(platform)
        tables = await dump(platform)
        catalogue = await platform.context.store.catalogue()
        assert {name: set(table.kinds) for name, table in TABLES.items()} == {
            name: set(columns) for name, columns in catalogue.items() if name != "sqlite_sequence"
        }
        wrong = [
            (table, column, value)
            for table, rows in tables.items()
            for row in rows
            for column, value in row.items()
            if value is not None and not _FORMS[TABLES[table].kinds[column]](value)
        ]
        assert wrong == []
        assert {table for table, rows in tables.items() if not rows} <= {
            "dead_letters", "due", "floors", "imports", "limit_uses", "log_home", "log_taken", "quota_uses",
            "replay_checkpoints", "replay_events", "replay_runs", "replay_timelines", "replay_users", "seal", "workers",
        }  # fmt: skip

    on_a_platform(tmp_path, story)


def test_a_column_is_of_one_class():
    for name, table in TABLES.items():
        names = " ".join(table.columns.values()).split()
        assert len(names) == len(set(names)), name


# Damage


@pytest.mark.parametrize(
    ("table", "damage"),
    [
        (table, damage)
        for table in ("facts", "carriers", "installs", "users", "auth_codes")
        for damage in ("in clear", "cut", "of another app", "under a key that is not there", "other")
        if (table, damage) != ("auth_codes", "other")  # only the code itself says whom it is for
    ],
)
def test_a_text_that_is_not_sealed_as_it_should_be_is_found(tmp_path, table, damage):
    spoils = {
        "in clear": OLD,
        "cut": KEY_RING.seal(1, b"a" * 12, OLD)[:-5],
        "of another app": KEY_RING.seal(1, b"a" * 12, OLD),
        "under a key that is not there": KEY_RING.seal(1, b"a" * 12, OLD).replace("s1.", "s7."),
    }

    async def story(platform: InProcess) -> None:
        await platform.link(await platform.register(), OLD)
        await codes.mint(platform.context, platform.key, OLD, None)
        spoilt = spoils.get(damage) or KEY_RING.seal(1, platform.app.app_id, "mallory")
        assert (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings == []
        statement = f"UPDATE {table} SET sealed_id = $1 WHERE sealed_id IS NOT NULL"
        assert await platform.context.store.write(lambda tx: tx.run(statement, spoilt)) == 1
        rules = {one.rule for one in (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings}
        assert rules & {Rule.ROW_READS, Rule.TABLES_ARE_FOLD, Rule.LEDGER_KNOWS}
        if table in {"installs", "users", "carriers"}:
            assert (await verify(platform.context, Wanted(), is_repairing=True, share=1)).findings == []
            assert await profile.profile_by_external_id(platform.context, platform.key, OLD)

    on_a_platform(tmp_path, story)


# Keys


def test_a_store_without_keys_answers_no_call_that_names_an_external_id(tmp_path, monkeypatch):
    async def story(platform: InProcess) -> None:
        await platform.link(await platform.register(), OLD)
        platform.context.store._keys = None  # type: ignore[attr-defined]
        with pytest.raises(CallRefused):
            await platform.link(await platform.register(), OLD)

    on_a_platform(tmp_path, story)
