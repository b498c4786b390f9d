"""Traces: the self-test of erasure. Every table and every file is searched for what a person was called.

Ids are looked for as bytes and as hex, anywhere, also in what SQLite left in a page; the files of a PostgreSQL server
are out of reach. External ids are looked for as they were sealed, likewise; in clear in tables only, as whole values: a
short one stands in many places by chance, and one that is a number even so. Compressed uploads are opened.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zstandard

from unbroken.flow.uploads import decompress

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from unbroken.flow.context import Context
    from unbroken.store.contract import Store, Transaction
    from unbroken.store.erasure import Found

_UPLOADS_AT_ONCE: Final = 200
_OF_UPLOADS: Final = {
    "payloads": ("install_id", "seq"),
    "log_records": ("partition_no", "position"),
    "dead_letters": ("install_id", "position"),
}


@dataclass(frozen=True, slots=True)
class Names:
    """What to look for.

    Args:
        ids: of users, installs and the like, 12 bytes each.
        words: whole values: external ids.
        canaries: anything else that must not be found, however it is embedded.
    """

    ids: Sequence[bytes] = ()
    words: Sequence[str] = ()
    canaries: Sequence[str] = ()

    @classmethod
    def of(cls, found: Found) -> Names:
        """The names of a person, as they were found before it was erased."""
        words = [one for one in found.external_ids if not one.isdecimal()]
        return cls(ids=found.ids, words=words, canaries=found.sealed_ids)

    def anywhere(self) -> list[bytes]:
        """What must not stand in any file, in every form."""
        hexes = [id_.hex() for id_ in self.ids]
        texts = [*hexes, *map(str.upper, hexes), *self.canaries]
        return [*self.ids, *(text.encode() for text in texts)]


async def search(context: Context, data: Path, names: Names) -> dict[str, int]:
    """Where any of the names still stands, and how often: `table.column`, or a file of the data directory."""
    found = await _search_tables(context, names)
    return found | await _search_files(data, names.anywhere())


async def _search_tables(context: Context, names: Names) -> dict[str, int]:
    found: dict[str, int] = {}
    for table, columns in (await context.store.catalogue()).items():
        for column in columns:
            hits = await _count(context.store, table, column, names)
            if hits:
                found[f"{table}.{column}"] = hits
    for table, key in _OF_UPLOADS.items():
        hits = await context.store.read_long(_opening(table, key, names))
        if hits:
            found[f"{table}.body"] = hits
    return found


async def _count(store: Store, table: str, column: str, names: Names) -> int:
    hits = 0
    for needle in [*names.anywhere(), *_quoted(names.words)]:
        hits += await store.count_rows(table, column, needle, is_whole=False)
    for word in names.words:
        hits += await store.count_rows(table, column, word.encode(), is_whole=True)
    return hits


def _quoted(words: Iterable[str]) -> set[bytes]:
    """Words as JSON writes them."""
    return {json.dumps(word, ensure_ascii=is_ascii).encode() for word in words for is_ascii in (True, False)}


def _opening(table: str, key: tuple[str, str], names: Names) -> Any:
    columns = ", ".join(key)
    page = f"SELECT {columns}, body FROM {table} WHERE ({columns}) > ($1, $2) ORDER BY {columns} LIMIT $3"  # noqa: S608
    needles = [*names.anywhere(), *_quoted(names.words)]

    async def count(tx: Transaction) -> int:
        hits = 0
        after: tuple[Any, Any] = (b"", -1) if key[0] == "install_id" else (-1, -1)
        while rows := await tx.all(page, *after, _UPLOADS_AT_ONCE):
            hits += sum(_opened(row[2]).count(needle) for row in rows for needle in needles)
            after = (rows[-1][0], rows[-1][1])
        return hits

    return count


def _opened(body: bytes) -> bytes:
    """An upload as it was sent; a damaged one as it is."""
    try:
        return decompress(body)
    except zstandard.ZstdError:
        return body


async def _search_files(data: Path, needles: Sequence[bytes]) -> dict[str, int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "unbroken.store.scan", str(data),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    told, _ = await process.communicate("\n".join(needle.hex() for needle in needles).encode())
    if process.returncode != 0:
        raise RuntimeError("The files could not be searched.")
    found: dict[str, int] = json.loads(told)
    return found
