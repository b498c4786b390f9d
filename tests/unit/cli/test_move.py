"""`unbroken move`: what scripts rely on, what goes along, and refusals as one sentence."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import stat
from contextlib import closing

import pytest
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.flow import move as step
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory, places
from unbroken.server.data_directory import DATABASE_FILE, Mode
from unbroken.server.keys import KEYS_FILE, open_vault
from unbroken.server.trouble import CannotStart
from unbroken.testing.in_process import InProcess


def run(*words):
    return CliRunner().invoke(program, [str(word) for word in words])


def problem(*words):
    done = run(*words, "--json")
    assert (done.exit_code, done.stdout) == (1, ""), done.stdout
    return json.loads(done.stderr)["message"]


def move(source, target, *words):
    done = run("move", "--from", source, "--to", target, *words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def made(data, *, lab=False):
    """A data directory with one app and one linked person."""
    data_directory.prepare(data, Mode(lab=lab))
    open_vault(data, SystemRandomness(), is_new=True)

    async def fill():
        async with InProcess(data) as platform:
            await platform.link(await platform.register(), "anna")

    asyncio.run(fill())
    return data


@pytest.fixture
def source(tmp_path):
    return made(tmp_path / "source")


def test_a_move_tells_rows_and_checksums_and_takes_the_keys_along(source, tmp_path):
    target = tmp_path / "target"

    report = move(source, target)

    rows = {table["name"]: table["rows"] for table in report["tables"]}
    assert (rows["apps"], rows["installs"], rows["log_partitions"]) == (1, 1, 4)
    assert report["rows"] == sum(rows.values())
    assert {len(table["checksum"]) for table in report["tables"]} == {64}
    assert report["rounds"][-1] <= report["rounds"][0]
    assert (report["last_round"], report["was_done"], report["purge"]) == (0, False, False)
    assert report["stood_still_s"] > 0
    assert (target / KEYS_FILE).read_bytes() == (source / KEYS_FILE).read_bytes()
    assert stat.S_IMODE((target / KEYS_FILE).stat().st_mode) == 0o600
    assert [app["name"] for app in json.loads(run("app", "list", "--data", target, "--json").stdout)["apps"]] == ["app"]
    assert "moved away from" in problem("app", "list", "--data", source)
    assert "moved away from" in run("doctor", "--data", source).stdout
    assert move(source, target)["was_done"]


def test_a_dry_run_counts_and_changes_nothing(source, tmp_path):
    before = (source / DATABASE_FILE).read_bytes()

    report = move(source, tmp_path / "target", "--dry-run")

    assert report["dry_run"]
    assert {table["name"]: table["rows"] for table in report["tables"]}["installs"] == 1
    assert not (tmp_path / "target").exists()
    assert (source / DATABASE_FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("INSERT INTO schema_migrations VALUES (9999, 'later', 'x')", "Move it with the newer version"),
        (
            "DELETE FROM schema_migrations WHERE version = (SELECT max(version) FROM schema_migrations)",
            "up to date first",
        ),
    ],
)
def test_a_dry_run_refuses_a_platform_of_another_version_as_the_move_does(source, tmp_path, change, sentence):
    with closing(sqlite3.connect(source / DATABASE_FILE, isolation_level=None)) as database:
        database.execute(change)

    for words in (("--dry-run",), ()):
        done = run("move", "--from", source, "--to", tmp_path / "target", *words)
        assert done.exit_code == 1
        assert "not made by the same version" in done.stderr
        assert sentence in done.stderr
        assert not (tmp_path / "target").exists()


def test_it_says_what_to_do_then(source, tmp_path):
    done = run("move", "--from", source, "--to", f"sqlite://{tmp_path}/target/{DATABASE_FILE}")

    assert done.exit_code == 0
    for sentence in ("Writes stood still for", "The keys went along", f"Delete {source}"):
        assert sentence in done.stdout.replace("\n", " ")


def test_a_platform_that_was_moved_can_be_moved_again(source, tmp_path):
    middle, target = tmp_path / "middle", tmp_path / "target"
    first, second = move(source, middle), move(middle, target)

    def told(report):
        return {one["name"]: one["checksum"] for one in report["tables"] if one["name"] != "seal"}

    assert told(first) == told(second)
    assert "moved away" in problem("move", "--from", source, "--to", tmp_path / "other")
    assert "moved away" in problem("move", "--from", source, "--to", target)


def test_it_refuses_what_is_not_fit(source, tmp_path):
    other = made(tmp_path / "other")
    lab = made(tmp_path / "lab", lab=True)
    target = tmp_path / "target"
    assert "the same place" in problem("move", "--from", source, "--to", f"sqlite://{source}")
    assert "other keys" in problem("move", "--from", source, "--to", other)
    (other / KEYS_FILE).write_bytes((source / KEYS_FILE).read_bytes())
    assert "holds a platform already" in problem("move", "--from", source, "--to", other)
    assert "lab" in problem("move", "--from", lab, "--to", target)
    assert "no data" in problem("move", "--from", tmp_path / "nothing", "--to", target)
    assert "not by mysql://" in problem("move", "--from", source, "--to", "mysql://host/database")
    assert not target.exists()


def test_a_platform_whose_log_is_a_stream_is_not_moved_to_where_no_server_could_open_it(source, tmp_path):
    with closing(sqlite3.connect(source / DATABASE_FILE)) as file, file:
        file.execute("INSERT INTO log_home (only_row, stream, mark, partitions) VALUES (1, 'unbroken', 'one', 256)")

    for words in (["--dry-run"], []):
        assert "a stream on NATS" in problem("move", "--from", source, "--to", tmp_path / "target", *words)
    assert not (tmp_path / "target").exists()


def test_a_database_that_another_move_has_half_filled_is_refused(source, tmp_path, monkeypatch):
    target = tmp_path / "target"
    with monkeypatch.context() as patch:
        patch.setattr("unbroken.flow.move._rounds", end)
        assert run("move", "--from", source, "--to", target).exit_code == 130
    other = made(tmp_path / "other")
    (other / KEYS_FILE).write_bytes((source / KEYS_FILE).read_bytes())

    assert "half full" in problem("move", "--from", other, "--to", target)
    assert "has not ended" in problem("app", "list", "--data", target)
    assert run("app", "list", "--data", source).exit_code == 0
    assert not move(source, target)["was_done"]


async def end(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("is_broken_off", [False, True])
def test_a_key_that_a_rotation_adds_while_the_platform_moves_goes_along(source, tmp_path, monkeypatch, is_broken_off):
    target, rounds = tmp_path / "target", step._rounds

    async def beside_a_rotation(*sides):
        await asyncio.to_thread(rotate, source)
        await (end if is_broken_off else rounds)(*sides)

    with monkeypatch.context() as patch:
        patch.setattr(step, "_rounds", beside_a_rotation)
        done = run("move", "--from", source, "--to", target)
    assert done.exit_code == (130 if is_broken_off else 0)
    if is_broken_off:
        move(source, target)

    assert (target / KEYS_FILE).read_bytes() == (source / KEYS_FILE).read_bytes()
    shutil.rmtree(source)  # as it says to do when all is well
    assert run("user", "find", "anna", "--data", target).exit_code == 0


def test_what_came_under_another_key_while_the_platform_moved_is_to_be_purged_in_the_new_place(
    source, tmp_path, monkeypatch
):
    target, rounds = tmp_path / "target", step._rounds

    async def before_a_rotation(*sides):
        await rounds(*sides)  # so that texts under the earlier key are in the target's files
        await asyncio.to_thread(rotate, source)

    monkeypatch.setattr(step, "_rounds", before_a_rotation)
    assert move(source, target)["purge"]

    assert not is_purged(target)
    assert run("purge", "--data", target).exit_code == 0
    assert is_purged(target)


def is_purged(data):
    with closing(sqlite3.connect(data / DATABASE_FILE)) as file:
        return bool(file.execute("SELECT is_purged FROM sealing").fetchone()[0])


def rotate(data):
    for what in ("external-ids", "pepper"):
        assert run("rotate", what, "--data", data).exit_code == 0


@pytest.mark.parametrize(
    "text", ["/var/lib/unbroken", "sqlite:///var/lib/unbroken", "sqlite:///var/lib/unbroken/unbroken.db"]
)
def test_a_directory_has_several_names(text):
    assert str(places.parse(text).database) == "/var/lib/unbroken/unbroken.db"
    assert places.parse(text).is_same(places.parse("/var/lib/unbroken"))


def test_a_url_is_kept_out_of_sight():
    place = places.parse("postgresql://anna:secret@host/db")
    assert "secret" not in repr(place)
    assert not place.is_same(places.parse("/var/lib/unbroken"))
    with pytest.raises(CannotStart):
        places.parse("sqlite://host/path")
