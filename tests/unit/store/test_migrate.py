from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from unbroken.store.contract import StoreRefused
from unbroken.store.migrate import POSTGRESQL, SQLITE, Migration, load, packaged, pending

if TYPE_CHECKING:
    from pathlib import Path

FIRST = Migration(1, "first", "CREATE TABLE first (a {identity}) {without_rowid};")
SECOND = Migration(2, "second", "CREATE TABLE second (a BIGINT);")


def test_the_packaged_migrations_are_numbered_without_a_gap() -> None:
    found = packaged()

    assert [migration.version for migration in found] == list(range(1, len(found) + 1))
    assert "log" in {migration.name for migration in found}


def test_a_migration_that_databases_have_is_never_changed() -> None:
    found = {dialect.name: [one.applied.checksum[:12] for one in packaged(dialect)] for dialect in (SQLITE, POSTGRESQL)}

    assert {name: sums[: len(HAD[name])] for name, sums in found.items()} == HAD


HAD = {
    "sqlite": [
        "92d55c0d68c7", "c8205645c1ea", "bfef5a8bed3f", "88150ff81fd5", "5eed6987a732", "223178820459", "14a10f7e146c",
    ],
    "postgresql": [
        "217cf66921bb", "c8205645c1ea", "bfef5a8bed3f", "88150ff81fd5", "5eed6987a732", "a3f4ae2fd2d9", "3c7a90067d5c",
    ],
}  # fmt: skip
"""Begin of each checksum; what is added at the end is no change."""


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL])
@pytest.mark.parametrize("migration", packaged(), ids=lambda migration: migration.name)
def test_no_token_is_left_in_a_packaged_migration(migration: Migration, dialect: object) -> None:
    assert isinstance(dialect, type(SQLITE))

    said = "\n".join(migration.statements(dialect))

    assert "{" not in said
    assert "}" not in said


def test_each_database_has_its_own_words() -> None:
    assert FIRST.statements(SQLITE) == ["CREATE TABLE first (a INTEGER PRIMARY KEY AUTOINCREMENT) WITHOUT ROWID;"]
    assert FIRST.statements(POSTGRESQL) == ["CREATE TABLE first (a BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY) ;"]


def test_statements_are_told_apart() -> None:
    text = """-- a table; with a comment
CREATE TABLE a (b TEXT DEFAULT ';'); -- and one behind it
INSERT INTO a VALUES ('one;
two'); INSERT INTO a VALUES ('three');

CREATE TRIGGER t AFTER INSERT ON a BEGIN
    DELETE FROM a;
    DELETE FROM a;
END;
-- the end
"""
    said = Migration(1, "a", text).statements(SQLITE)

    assert [statement.split()[0] for statement in said] == ["--", "--", "INSERT", "CREATE"]
    assert said[0].endswith("DEFAULT ';');")
    assert said[3].endswith("END;")


def test_a_migration_without_its_last_semicolon_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="semicolon"):
        Migration(1, "a", "CREATE TABLE a (b TEXT);\nCREATE TABLE c (d TEXT)").statements(SQLITE)


def test_migrations_are_found_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for name in ("0002_b.sql", "0010_c.sql", "0001_a.sql", "notes.txt", "1_short.sql"):
        (tmp_path / name).write_text("SELECT 1;")

    assert [(m.version, m.name) for m in load(tmp_path)] == [(1, "a"), (2, "b"), (10, "c")]


def test_two_migrations_with_one_number_are_a_mistake(tmp_path: Path) -> None:
    for name in ("0001_a.sql", "0001_b.sql"):
        (tmp_path / name).write_text("SELECT 1;")

    with pytest.raises(ValueError, match="same number"):
        load(tmp_path)


def test_line_ends_are_no_change(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_bytes(b"CREATE TABLE a\r\n(b TEXT);\r\n")
    (windows,) = load(tmp_path)
    (tmp_path / "0001_a.sql").write_bytes(b"CREATE TABLE a\n(b TEXT);\n")
    (unix,) = load(tmp_path)

    assert windows.applied == unix.applied


def test_what_only_one_database_has_follows_the_migration_there(tmp_path: Path) -> None:
    (tmp_path / "0001_a.sql").write_text("CREATE TABLE a (b TEXT);\n")
    (tmp_path / "0001_a.postgresql.sql").write_text("CREATE TYPE c AS RANGE (SUBTYPE = BYTEA);\n")
    (plain,) = load(tmp_path, SQLITE)
    (more,) = load(tmp_path, POSTGRESQL)

    assert plain.statements(SQLITE) == ["CREATE TABLE a (b TEXT);"]
    assert more.statements(POSTGRESQL) == [
        'CREATE TABLE a (b TEXT COLLATE "C");',
        "CREATE TYPE c AS RANGE (SUBTYPE = BYTEA);",
    ]
    assert plain.applied != more.applied


def test_a_new_database_lacks_everything_and_a_current_one_nothing() -> None:
    assert pending([FIRST, SECOND], []) == [FIRST, SECOND]
    assert pending([FIRST, SECOND], [FIRST.applied]) == [SECOND]
    assert pending([FIRST, SECOND], [FIRST.applied, SECOND.applied]) == []


def test_a_newer_database_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreRefused, match=r"version 2.*knows 1.*Install the newer version"):
        pending([FIRST], [FIRST.applied, SECOND.applied])


def test_a_changed_migration_is_refused_with_what_to_do() -> None:
    with pytest.raises(StoreRefused, match=r"0001_first.*Install the version that made it"):
        pending([FIRST, SECOND], [Migration(1, "first", "CREATE TABLE other (a BIGINT);").applied])
