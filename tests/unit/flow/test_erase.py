"""Erasure inside: what goes, what is left of it, and that nobody else is touched."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken import wire
from unbroken.credentials import Vault
from unbroken.domain.errors import HistoryExpired, InstallGone, InvalidRequest, NotFound, Refusal
from unbroken.domain.ids import InstallId
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.domain.standing import Standing
from unbroken.flow import codes, erase, erase_part, operate, profile, receipts, register, rename
from unbroken.flow.authenticate import InstallCaller
from unbroken.flow.ingest import ingest
from unbroken.flow.person_facts import facts_of_person
from unbroken.flow.standings import Standings
from unbroken.flow.tidy import tidy
from unbroken.flow.traces import Names, search
from unbroken.flow.verify import Wanted, verify
from unbroken.store import erasure, holdings, identity, ledger, tombstones
from unbroken.testing.in_process import PAYLOAD_ID, InProcess
from unbroken.testing.in_process import START_MS as T

MINUTE, DAY = 60_000, 86_400_000
PHONE = wire.Device("android", screen_inches=6.1)


def fix(at_ms: int, lat: float = 51.0):
    return {"kind": "location", "t": at_ms, "lat": lat, "lon": 3.7, "acc": 10}


def stay(from_ms: int, lat: float = 51.0):
    return [fix(from_ms + minute * MINUTE, lat) for minute in range(0, 60, 2)]


async def person(platform, external_id: str, phones: int = 2):
    """Somebody with phones, each linked and used in turn, an hour each."""
    made = []
    for number in range(phones):
        phone = await platform.register(PHONE)
        linked = await platform.link(phone, external_id)
        platform.clock.advance_to(platform.clock.now_ms() + 2 * 3_600_000)
        await platform.upload(phone, stay(platform.clock.now_ms() - 3_600_000, 51.0 + number))
        made.append(phone)
    await platform.settle()
    return linked.id, made


async def end(platform, user_id: str, *, dry_run: bool = False):
    return await erase.erase(platform.context, platform.key, user_id, dry_run=dry_run)


async def upload_as_called(platform, phone):
    """An upload as it comes over HTTP, where the changes are looked at first."""
    await asyncio.sleep(0)
    await platform.context.standings.refresh(platform.context)
    await platform.upload(phone, [fix(T)])


async def everything(platform):
    """Every row of every table, as text."""
    rows = {}
    for table, columns in (await platform.context.store.catalogue()).items():
        statement = f"SELECT {', '.join(columns)} FROM {table} ORDER BY {', '.join(columns)}"
        rows[table] = await platform.context.store.read(lambda tx, one=statement: tx.all(one))
    return rows


def in_platform(tmp_path, story):
    async def run():
        async with InProcess(tmp_path) as platform:
            return await story(platform)

    return asyncio.run(run())


# The whole person


def test_everything_goes_and_only_keyed_hashes_stay(tmp_path):
    async def story(platform):
        user_id, _ = await person(platform, "anna@example.com", phones=3)
        found = await erase.names(platform.context, platform.key, user_id)
        names = Names.of(found)
        assert await search(platform.context, tmp_path, names)
        await end(platform, user_id)
        assert await search(platform.context, tmp_path, names) == {}
        facts = (await everything(platform))["facts"]
        assert [row[4] for row in facts] == ["registered", "linked"] * 3 + ["erased"]

    in_platform(tmp_path, story)


def test_an_account_that_is_a_number_is_not_found_in_what_was_counted(tmp_path):
    async def story(platform):
        user_id, _ = await person(platform, "2")
        names = Names.of(await erase.names(platform.context, platform.key, user_id))
        await end(platform, user_id)
        assert await search(platform.context, tmp_path, names) == {}

    in_platform(tmp_path, story)


def test_every_table_is_looked_after(tmp_path, engine):
    async def story(platform):
        return await platform.context.store.catalogue()

    tables = set(in_platform(tmp_path, story))
    text = Path(erasure.__file__).read_text()
    known = {table for table in tables if f"FROM {table} " in text or f"UPDATE {table} " in text}
    assert tables - known - erasure.OF_NOBODY - erasure.OF_THE_LOG == set()
    assert tables >= erasure.OF_NOBODY - (set() if engine == "sqlite" else {"sqlite_sequence"})


def test_a_dry_run_tells_what_would_go_and_changes_nothing(tmp_path):
    async def story(platform):
        user_id, _ = await person(platform, "anna")
        before = await everything(platform)
        told = await end(platform, user_id, dry_run=True)
        assert await everything(platform) == before
        done = await end(platform, user_id)
        assert told.dry_run
        assert told.signature == ""
        assert told.deleted == done.deleted
        assert done.deleted["payloads"] == 2
        assert done.deleted["installs"] == 2

    in_platform(tmp_path, story)


def test_a_dry_run_of_what_is_erased_already_says_so_and_neither_writes_nor_purges(tmp_path):
    async def story(platform):
        context, key = platform.context, platform.key
        anna, _ = await person(platform, "anna")
        _, (old, _) = await person(platform, "ben")

        async def both(*, dry_run: bool):
            part = erase_part.erase_install(context, key, old.install_id, dry_run=dry_run)
            return [await end(platform, anna, dry_run=dry_run), await part]

        done = await both(dry_run=False)
        await context.store.write(tombstones.soil_all)  # a purge was put off: the next erasure would make up for it
        before = await everything(platform)
        told = await both(dry_run=True)
        assert told == [msgspec.structs.replace(one, key_id="", signature="", dry_run=True) for one in done]
        assert await everything(platform) == before
        assert await both(dry_run=False) == done
        assert await context.store.read(tombstones.unpurged) == []

    in_platform(tmp_path, story)


def test_the_account_can_come_back_as_a_new_user(tmp_path):
    async def story(platform):
        user_id, _ = await person(platform, "anna")
        first = await end(platform, user_id)
        again, _ = await person(platform, "anna")
        assert again != user_id
        assert await end(platform, user_id) == first
        with pytest.raises(NotFound):
            await erase.names(platform.context, platform.key, user_id)
        assert (await erase.names(platform.context, platform.key, again)).external_ids == ["anna"]

    in_platform(tmp_path, story)


# Late uploads


def test_another_process_refuses_late_uploads_at_once_and_knows_no_id(tmp_path):
    async def story(platform):
        user_id, phones = await person(platform, "anna")
        elsewhere = Standings()
        await elsewhere.load(platform.context)
        install_id = InstallId(bytes.fromhex(phones[1].install_id))
        elsewhere.note_upload(install_id)
        assert elsewhere.of(install_id, Standing.ACTIVE) is Standing.ACTIVE
        await end(platform, user_id)
        await asyncio.sleep(0)
        await elsewhere.refresh(platform.context)
        assert elsewhere.of(install_id, Standing.ACTIVE) is Standing.DELETED
        assert not elsewhere.has_uploaded(install_id)
        assert phones[0].install_id not in repr(vars(elsewhere))
        assert repr(install_id) not in repr(vars(elsewhere))
        with pytest.raises(InstallGone):
            await upload_as_called(platform, phones[1])

    in_platform(tmp_path, story)


def test_no_process_holds_an_external_id_in_memory_once_it_has_learned_of_an_erasure(tmp_path):
    async def story(platform):
        user_id, _ = await person(platform, "anna")
        keys = platform.context.store._keys
        assert keys.seal.cache_info().currsize > 0
        await end(platform, user_id)
        await asyncio.sleep(0)
        await platform.context.standings.refresh(platform.context)
        assert (keys.seal.cache_info().currsize, keys.open.cache_info().currsize) == (0, 0)

    in_platform(tmp_path, story)


def test_an_upload_that_was_on_its_way_is_dropped_and_purged(tmp_path):
    async def story(platform):
        user_id, phones = await person(platform, "anna")
        found = await erase.names(platform.context, platform.key, user_id)
        body = {"sent_at": T, "payloads": [{"payload_id": PAYLOAD_ID, "items": [fix(T)]}]}
        caller = InstallCaller(phones[0].caller.app_id, phones[0].caller.install_id, Standing.ACTIVE)
        late = platform.context.standings.of
        await end(platform, user_id)
        platform.context.standings.of = lambda *_: Standing.ACTIVE  # it was looked at before the erasure
        platform.context.standings.note_upload(caller.install_id)
        await ingest(platform.context, caller, json.dumps(body).encode(), zstd_body=None)
        platform.context.standings.of = late
        await platform.settle()
        assert await platform.context.store.read(tombstones.unpurged) != []
        await tidy(platform.context)
        assert await platform.context.store.read(tombstones.unpurged) == []
        return await search(platform.context, tmp_path, Names.of(found))

    assert in_platform(tmp_path, story) == {}


async def samples(platform) -> str:
    """The values that PostgreSQL's planner keeps of the columns of the platform's tables."""
    statement = "SELECT concat(most_common_vals, histogram_bounds) FROM pg_stats WHERE schemaname = current_schema()"
    return " ".join(row[0] for row in await platform.context.store.read(lambda tx: tx.all(statement)))


def test_what_the_planner_of_postgresql_knows_of_a_person_goes_with_it(tmp_path, engine):
    if engine == "sqlite":
        pytest.skip("SQLite keeps no values beside the tables")

    async def story(platform):
        people = []
        for number in range(4):
            user_id, (phone,) = await person(platform, f"person-{number}", phones=1)
            await profile.merge_metadata(platform.context, phone.caller, {"mail": f"canary-{number}"})
            people.append(user_id)
        for table in await platform.context.store.catalogue():
            await platform.context.store.write(lambda tx, one=table: tx.run(f"ANALYZE {one}"))
        found = await samples(platform)
        assert "canary-1" in found
        assert "latitude" in found
        assert people[1] in found
        await end(platform, people[1])
        left = await samples(platform)
        assert "canary-2" in left
        assert "canary-1" not in left
        assert people[1] not in left
        for user_id in (people[0], *people[2:]):
            await end(platform, user_id)
        version = await platform.context.store.read(lambda tx: tx.one("SHOW server_version_num"))
        if int(version[0]) >= 180_000:  # before, a table that has become empty keeps what was known of it
            left = await samples(platform)
            assert [one for one in [*people, "canary", "latitude"] if one in left] == []

    in_platform(tmp_path, story)


def test_an_upload_of_an_erased_install_that_was_on_its_way_is_not_kept_by_the_erasure_of_a_stretch_of_time(tmp_path):
    async def story(platform):
        user_id, (old, _) = await person(platform, "anna")
        await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        platform.context.standings.of = lambda *_: Standing.ACTIVE  # it was looked at before the erasure
        item = fix(platform.clock.now_ms() - 12_345)
        await platform.upload(old, [item])
        await erase_part.erase_items(platform.context, platform.key, user_id, T, T + 1, dry_run=False)
        await platform.settle()
        assert (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings == []
        assert await search(platform.context, tmp_path, Names(canaries=[f"{item['t']}"])) == {}

    in_platform(tmp_path, story)


@pytest.mark.parametrize("is_erased_first", [False, True])
def test_an_install_that_was_restored_from_somebody_elses_does_not_keep_the_id_of_that(tmp_path, is_erased_first):
    """As when a phone is copied to a new one: the SDK there registers, and says which install it finds in the copy."""

    async def story(platform):
        old = await platform.register(PHONE)
        found = await erase.names(platform.context, platform.key, old.own_user_id)
        body = wire.Register(PHONE, wire.SdkVersion("test", "1"), restored_from=old.install_id)
        if is_erased_first:
            await end(platform, old.own_user_id)
        await register.register(platform.context, platform.app_caller, body, None)
        if not is_erased_first:
            await end(platform, old.own_user_id)
        assert await search(platform.context, tmp_path, Names.of(found)) == {}
        assert (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings == []

    in_platform(tmp_path, story)


def test_codes_for_an_account_that_was_given_up_go_along_unless_it_is_somebody_elses_by_now(tmp_path):
    async def story(platform):
        context, key = platform.context, platform.key
        user_id, _ = await person(platform, "anna@old.example", phones=1)
        for number, old in enumerate(("anna@old.example", "anna@other.example")):
            await codes.mint(context, key, old, None)
            body = wire.Rename(("anna@other.example", "anna@new.example")[number], release_old=True)
            await rename.rename(context, key, user_id, body, operate.Order())
        await platform.link(await platform.register(PHONE), "anna@other.example")
        theirs = await codes.mint(context, key, "anna@other.example", None)
        told = await end(platform, user_id, dry_run=True)
        done = await end(platform, user_id)
        assert told.deleted == done.deleted
        app_id = platform.app.app_id

        async def minted_for(tx, account):
            return await holdings.codes_for(tx, app_id, account)

        assert await context.store.read(lambda tx: minted_for(tx, "anna@old.example")) == []
        assert len(await context.store.read(lambda tx: minted_for(tx, "anna@other.example"))) == 2
        body = wire.Register(PHONE, wire.SdkVersion("test", "1"), authentication_code=theirs.authentication_code)
        assert (await register.register(context, None, body, None)).linked

    in_platform(tmp_path, story)


# Others


async def survivors(platform, install_id: str):
    """How the tables have an install and its user, and how the ledger has them."""
    app_id, known = platform.app.app_id, InstallId(bytes.fromhex(install_id))

    async def load(tx):
        install = await identity.read_install(tx, app_id, known)
        assert install is not None
        facts = await facts_of_person(tx, app_id, known)
        folded = labelled(refold(facts))
        told = folded.installs[known]
        assert (told.own_user, told.user, told.link) == (install.own_user, install.user, install.link)
        assert folded.spans[known] == await identity.read_spans(tx, known)
        return install, folded.spans[known], folded.carriers

    return await platform.context.store.read(load)


def test_somebody_who_was_linked_by_mistake_once_is_not_touched(tmp_path):
    """The first link of an account is undone: its install got a fresh user id, the account kept the old one."""

    async def story(platform):
        mistaken, right = await platform.register(PHONE), await platform.register(PHONE)
        platform.clock.advance_to(T + MINUTE)
        wrong = await platform.link(mistaken, "anna@example.com")
        await platform.upload(mistaken, stay(T + 2 * MINUTE))
        await platform.link(right, "anna@example.com")
        platform.clock.advance_to(T + DAY)
        undone = await platform.undo(wrong.link_id)
        assert undone.own_user_id != wrong.id
        before = await survivors(platform, mistaken.install_id)
        timeline = await platform.timeline(undone.own_user_id)
        found = await erase.names(platform.context, platform.key, wrong.id)
        assert wrong.id in {one.hex() for one in found.users}
        await end(platform, wrong.id)
        install, spans, carriers = await survivors(platform, mistaken.install_id)
        assert (install, spans) == before[:2]
        assert carriers == {}
        assert await platform.timeline(undone.own_user_id) == timeline
        for gone in (wrong.link_id, undone.undo_id):
            with pytest.raises(NotFound):
                await platform.undo(gone)
        traces = await search(platform.context, tmp_path, Names(found.ids, found.external_ids, ["anna@example.com"]))
        assert traces == {}

    in_platform(tmp_path, story)


def test_the_one_who_was_linked_by_mistake_can_be_erased_alone(tmp_path):
    async def story(platform):
        mistaken, right, later = [await platform.register(PHONE) for _ in range(3)]
        wrong = await platform.link(mistaken, "anna")
        await platform.link(right, "anna")
        undone = await platform.undo(wrong.link_id)
        await platform.link(mistaken, "berta")
        before = await survivors(platform, right.install_id)
        found = await erase.names(platform.context, platform.key, undone.own_user_id)
        await end(platform, undone.own_user_id)
        after = await survivors(platform, right.install_id)
        assert after[:2] == before[:2]
        assert "berta" in before[2]
        assert after[2].keys() == {"anna"}
        assert (await platform.link(later, "anna")).id == wrong.id
        assert await search(platform.context, tmp_path, Names.of(found)) == {}

    in_platform(tmp_path, story)


# Receipts

VAULT = Vault(b"p" * 32, b"s" * 32)
RECEIPT = wire.Receipt("ab" * 12, "cd" * 12, "user", "ef" * 32, "2026-11-23T20:12:54.000+00:00", {"payloads": 3})


def test_a_receipt_verifies():
    text = wire.encode(receipts.signed(VAULT, RECEIPT))
    assert receipts.verify(text, receipts.public_key(VAULT)).deleted == {"payloads": 3}
    spaced = msgspec.json.format(text, indent=2)
    assert receipts.verify(spaced, receipts.read_pem(receipts.pem(receipts.public_key(VAULT)).encode()))


def test_every_changed_character_of_a_receipt_is_noticed():
    text = wire.encode(receipts.signed(VAULT, RECEIPT)).decode()
    for at, character in enumerate(text):
        changed = text[:at] + ("1" if character != "1" else "2") + text[at + 1 :]
        with pytest.raises(receipts.NotGenuine):
            receipts.verify(changed.encode(), receipts.public_key(VAULT))


@pytest.mark.parametrize(
    "change",
    [
        lambda receipt: {**receipt, "added": 1},
        lambda receipt: {**receipt, "dry_run": False},
        lambda receipt: {name: value for name, value in receipt.items() if name != "application_id"},
        lambda receipt: {**receipt, "signature": ""},
    ],
)
def test_a_member_added_or_left_out_is_noticed(change):
    receipt = json.loads(wire.encode(receipts.signed(VAULT, RECEIPT)))
    with pytest.raises(receipts.NotGenuine):
        receipts.verify(json.dumps(change(receipt)).encode(), receipts.public_key(VAULT))


def test_another_platforms_key_does_not_verify_it():
    text = wire.encode(receipts.signed(VAULT, RECEIPT))
    other = Vault(b"p" * 32, b"s" * 32, receipt_key=b"r" * 32)
    with pytest.raises(receipts.NotGenuine, match="signed with the key"):
        receipts.verify(text, receipts.public_key(other))
    with pytest.raises(InvalidRequest):
        receipts.read_pem(b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")


# One install, or a stretch of time


def test_one_install_is_erased_and_the_person_stays(tmp_path):
    async def story(platform):
        user_id, (old, new) = await person(platform, "anna")
        told = await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=True)
        assert len(json.loads(await platform.timeline(user_id))) == 3
        done = await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        assert told.deleted == done.deleted
        assert (done.erased, done.deleted["payloads"]) == ("install", 1)
        assert {item[0] for item in await platform.items(user_id)} == {new.install_id}
        events = json.loads(await platform.timeline(user_id))
        assert {event["install_id"] for event in events} == {new.install_id}
        assert not [row for row in (await everything(platform))["events"] if row[-1]]
        again = await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        assert again == done
        await platform.upload(new, [fix(platform.clock.now_ms())])
        with pytest.raises(InstallGone):
            await upload_as_called(platform, old)
        receipts.verify(wire.encode(done), receipts.public_key(platform.context.vault))

    in_platform(tmp_path, story)


def test_an_upload_of_an_erased_install_that_was_on_its_way_is_dropped(tmp_path):
    async def story(platform):
        user_id, (old, _) = await person(platform, "anna")
        await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        await platform.upload(old, [fix(T)])  # this process has not looked at the changes since
        return await platform.items(user_id), old.install_id

    items, gone = in_platform(tmp_path, story)
    assert items
    assert gone not in {install for install, *_ in items}


@pytest.mark.parametrize("is_processed", [True, False])
def test_a_stretch_of_time_is_erased_across_uploads_and_copies(tmp_path, is_processed):
    async def story(platform):
        phone = await platform.register(PHONE)
        user_id = (await platform.link(phone, "anna")).id
        platform.clock.advance_to(T + DAY)
        before, inside, after = fix(T + 10 * MINUTE), fix(T + 20 * MINUTE, 52.0), fix(T + 30 * MINUTE)
        await platform.upload(phone, [before, inside, {"kind": "location", "t": "never valid", "canary": "Kanarie"}])
        await platform.upload(phone, [inside])
        await platform.upload(phone, [after])
        if is_processed:
            await platform.settle()
        window = (T + 15 * MINUTE, T + 30 * MINUTE)
        told = await erase_part.erase_items(platform.context, platform.key, user_id, *window, dry_run=True)
        done = await erase_part.erase_items(platform.context, platform.key, user_id, *window, dry_run=False)
        assert told.deleted == done.deleted
        assert done.deleted["items"] == 1
        captured = [wire.parse_iso(at) for _, at, _ in await platform.items(user_id)]
        assert captured == [before["t"], after["t"]]
        assert await search(platform.context, tmp_path, Names(canaries=["Kanarie", f"{inside['t']}"])) == {}
        assert (done.from_, done.to) == (wire.iso(window[0]), wire.iso(window[1]))
        facts = (await everything(platform))["facts"]
        assert facts[-1][4] == "erased"

    in_platform(tmp_path, story)


def test_the_id_of_an_erased_install_is_no_users(tmp_path):
    async def story(platform):
        user_id, (old, new) = await person(platform, "anna")
        await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        with pytest.raises(NotFound):
            await end(platform, old.install_id)
        assert {install for install, *_ in await platform.items(user_id)} == {new.install_id}
        receipt = await end(platform, user_id)
        assert await end(platform, user_id) == receipt
        for install in (old, new):
            with pytest.raises(NotFound):
                await end(platform, install.install_id)

    in_platform(tmp_path, story)


def test_the_facts_of_a_person_are_walked_once_however_many_installs_it_has(tmp_path, monkeypatch):
    async def story(platform):
        phones = [await platform.register(PHONE) for _ in range(8)]
        for phone in phones:
            user_id = (await platform.link(phone, "anna")).id
        asked = []
        naming = ledger.naming_install

        async def counted(tx, app_id, install_id):
            asked.append(install_id)
            return await naming(tx, app_id, install_id)

        monkeypatch.setattr(ledger, "naming_install", counted)
        assert (await end(platform, user_id)).deleted["installs"] == 8
        assert sorted(asked) == sorted(bytes.fromhex(phone.install_id) for phone in phones)

    in_platform(tmp_path, story)


@pytest.mark.parametrize("behind_ms", [100_000, -100_000])
@pytest.mark.parametrize("settled", [0, 1, 2])
def test_an_item_is_gone_with_its_copies_though_they_came_under_other_clocks_and_some_wait(
    tmp_path, behind_ms, settled
):
    """Which copy decides when it was captured is known only with all of them together."""

    async def story(platform):
        phone = await platform.register(PHONE)
        user_id = (await platform.link(phone, "anna")).id
        platform.clock.advance_to(T + DAY)
        now_ms, item = platform.clock.now_ms(), fix(T + 20 * 3_600_000)
        for number, sent_at in enumerate((now_ms - behind_ms, now_ms)):
            if number == settled:
                await platform.settle()
            await platform.upload(phone, [item], sent_at=sent_at)
        if settled == 2:
            await platform.settle()
        window = (item["t"] - 1000, item["t"] + 1000)
        told = await erase_part.erase_items(platform.context, platform.key, user_id, *window, dry_run=True)
        done = await erase_part.erase_items(platform.context, platform.key, user_id, *window, dry_run=False)
        assert told.deleted == done.deleted
        assert done.deleted["items"] == 1
        assert done.deleted["payloads"] + done.deleted["waiting uploads"] == 2
        assert await platform.items(user_id) == []
        assert json.loads(await platform.timeline(user_id)) == []
        assert await search(platform.context, tmp_path, Names(canaries=[f"{item['t']}"])) == {}

    in_platform(tmp_path, story)


def test_the_timeline_after_is_that_of_somebody_who_was_never_there(tmp_path):
    def timeline(directory, days):
        async def story(platform):
            phone = await platform.register(PHONE)
            user_id = (await platform.link(phone, "anna")).id
            platform.clock.advance_to(T + 4 * DAY)
            await platform.upload(phone, [item for day in days for item in stay(T + day * DAY, 51.0 + day / 10)])
            if 1 in days:
                await platform.settle()
                window = (T + DAY - 1, T + 2 * DAY - 1)
                await erase_part.erase_items(platform.context, platform.key, user_id, *window, dry_run=False)
            return await platform.timeline(user_id)

        directory.mkdir()
        return in_platform(directory, story)

    assert timeline(tmp_path / "erased", [0, 1, 2]) == timeline(tmp_path / "never", [0, 2])


def test_what_retention_let_go_of_cannot_be_erased_in_part(tmp_path):
    async def story(platform):
        user_id, (old, _) = await person(platform, "anna")
        known = bytes.fromhex(old.install_id)
        statement = "UPDATE installs SET kept_from = $2 WHERE install_id = $1"
        await platform.context.store.write(lambda tx: tx.run(statement, known, T + DAY))
        with pytest.raises(HistoryExpired):
            await erase_part.erase_install(platform.context, platform.key, old.install_id, dry_run=False)
        with pytest.raises(HistoryExpired):
            await erase_part.erase_items(platform.context, platform.key, user_id, T, T + 1, dry_run=False)
        with pytest.raises(InvalidRequest):
            await erase_part.erase_items(platform.context, platform.key, user_id, T, T, dry_run=False)
        await end(platform, user_id)

    in_platform(tmp_path, story)


PHONES, ACCOUNTS = 4, ("anna", "berta")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("link"), st.integers(0, PHONES - 1), st.sampled_from(ACCOUNTS)),
        st.tuples(st.just("undo"), st.integers(0, 9)),
        st.tuples(st.just("rename"), st.integers(0, PHONES - 1), st.booleans()),
        st.tuples(st.just("disable"), st.integers(0, PHONES - 1)),
    ),
    min_size=3,
    max_size=12,
)


async def act(platform, phones, undoable, step):
    """One step of a history; one that the rules refuse changes nothing."""
    what, which, *more = step
    platform.clock.advance_to(platform.clock.now_ms() + 1000)
    with suppress(Refusal):
        match what:
            case "link":
                undoable.append((await platform.link(phones[which], more[0])).link_id)
            case "undo" if undoable:
                undoable.append((await platform.undo(undoable[which % len(undoable)])).undo_id)
            case "rename":
                user = phones[which].own_user_id
                body = wire.Rename(f"renamed-{len(undoable)}", release_old=more[0])
                await rename.rename(platform.context, platform.key, user, body, operate.Order())
            case "disable":
                user = phones[which].own_user_id
                for state in ("disabled", "enabled"):
                    await operate.set_user_state(platform.context, platform.key, user, state, operate.Order())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS, st.integers(0, PHONES - 1), st.integers(0, PHONES - 1))
def test_after_any_history_everybody_else_is_as_before(tmp_path_factory, steps, first, second):
    directory = tmp_path_factory.mktemp("history")

    async def story(platform):
        phones = [await platform.register(PHONE) for _ in range(PHONES)]
        undoable = []
        for step in steps:
            await act(platform, phones, undoable, step)
        for which in (first, second):
            current = await platform.context.store.read(
                lambda tx, one=phones[which]: identity.read_install(tx, platform.app.app_id, one.caller.install_id)
            )
            if current is None:
                continue
            found = await erase.names(platform.context, platform.key, current.user.hex())
            others = [phone.install_id for phone in phones if phone.caller.install_id not in found.installs]
            others = [one for one in others if await lives(platform, one)]
            before = {one: (await survivors(platform, one))[:2] for one in others}
            theirs = {await external_id_of(platform, one) for one in others}
            await end(platform, current.user.hex())
            assert {one: (await survivors(platform, one))[:2] for one in others} == before
            # an id that was released and taken again is in the history of both persons that carried it
            words = [word for word in found.external_ids if word not in theirs]
            assert await search(platform.context, directory, Names(found.ids, words)) == {}

    in_platform(directory, story)


def test_an_undo_of_somebody_elses_link_keeps_no_id_that_it_gave_the_erased(tmp_path):
    steps = [
        ("link", 1, "berta"), ("undo", 0), ("link", 3, "berta"), ("undo", 1), ("disable", 3), ("undo", 2),
        ("link", 3, "anna"), ("undo", 3),
    ]  # fmt: skip

    async def story(platform):
        phones = [await platform.register(PHONE) for _ in range(PHONES)]
        undoable = []
        for step in steps:
            await act(platform, phones, undoable, step)
        install_id = phones[3].caller.install_id
        install = await platform.context.store.read(
            lambda tx: identity.read_install(tx, platform.app.app_id, install_id)
        )
        found = await erase.names(platform.context, platform.key, install.user.hex())
        await end(platform, install.user.hex())
        assert await search(platform.context, tmp_path, Names(found.ids, [])) == {}

    in_platform(tmp_path, story)


def test_an_id_stays_that_of_its_person_though_the_undo_that_moved_it_is_forgotten(tmp_path):
    """The first link is undone, so the second install is anna under the id of the first, and its own id redirects."""

    async def story(platform):
        first, second, third = [await platform.register(PHONE) for _ in range(3)]
        links = [await platform.link(phone, "anna") for phone in (first, second)]
        await platform.undo(links[0].link_id)
        known = await platform.context.store.read(
            lambda tx: identity.read_install(tx, platform.app.app_id, first.caller.install_id)
        )
        await end(platform, known.user.hex())
        platform.clock.advance_to(platform.clock.now_ms() + 1000)
        assert (await platform.link(third, "anna")).id == links[0].id
        undone = await platform.undo(links[1].link_id)
        ids = {links[0].id: third, third.own_user_id: third, second.own_user_id: second, undone.own_user_id: second}
        for user_id, phone in ids.items():
            assert (await profile.profile(platform.context, platform.key, user_id)).install_id == phone.install_id
        assert (await verify(platform.context, Wanted(), is_repairing=False, share=1)).findings == []

    in_platform(tmp_path, story)


async def external_id_of(platform, install_id: str) -> str | None:
    known = InstallId(bytes.fromhex(install_id))
    row = await platform.context.store.read(lambda tx: identity.read_install(tx, platform.app.app_id, known))
    return row.external_id


async def lives(platform, install_id: str) -> bool:
    known = InstallId(bytes.fromhex(install_id))
    row = await platform.context.store.read(lambda tx: identity.read_install(tx, platform.app.app_id, known))
    return row is not None
