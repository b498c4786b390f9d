"""A database turned back into what version 7 of its tables was: external ids in clear, under the columns' old name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.store.resealing import _SWEPT

if TYPE_CHECKING:
    from unbroken.sealing import KeyRing
    from unbroken.store.contract import Store, Transaction

SEALED = ("facts", "installs", "users", "carriers", "auth_codes")


async def as_version_7_left_it(store: Store, keys: KeyRing) -> None:
    """Turn it back; nothing of this version may use it until it is opened anew."""

    async def turn_back(tx: Transaction) -> None:
        for table in ("facts", "carriers", "auth_codes"):
            for app_id, text in await tx.all(
                f"SELECT DISTINCT app_id, sealed_id FROM {table} WHERE sealed_id IS NOT NULL"
            ):
                plain = keys.open(app_id, text)
                await tx.run(
                    f"UPDATE {table} SET sealed_id = $1 WHERE app_id = $2 AND sealed_id = $3", plain, app_id, text
                )
        for table in _SWEPT:
            for *key, owner, content in await tx.all(table.page):
                plain = keys.open_body(owner, content) if table.column == "reply" else keys.open(owner, content)
                await tx.run(table.put, plain, *key)
        for name in SEALED:
            await tx.run(f"ALTER TABLE {name} RENAME COLUMN sealed_id TO external_id")
        await tx.run("DROP TABLE sealing")
        await tx.run("DELETE FROM schema_migrations WHERE version = 8")

    await store.write(turn_back)
