"""Archives: what is exported and imported is the same person, byte for byte; what is damaged leaves nothing."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unbroken import wire
from unbroken.domain.errors import Conflict, InstallCloned, InvalidRequest, NotFound, Refusal
from unbroken.domain.ids import InstallId
from unbroken.domain.ledger.refold import labelled, refold
from unbroken.flow import archive, authenticate, erase, erase_part, ingest, operate, profile, rename, retention, tokens
from unbroken.flow.adopt import SILENT_MS, Adopted, adopt
from unbroken.flow.export import export
from unbroken.flow.facts import fact_of
from unbroken.flow.operate import Order
from unbroken.store import adoption, identity, ledger
from unbroken.testing.in_process import KEY_RING, START_MS, InProcess, Phone

if TYPE_CHECKING:
    from pathlib import Path

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
ORDER = Order(None, dry_run=False, same=None)
SECRET_COLUMNS = ("credential_digest", "secret_digest", "digest", "key_digest")


def captured(place: int, from_hour: int, hours: int) -> list[dict[str, Any]]:
    """Fixes every ten minutes: two hours at a place of its own, an hour on the way."""
    items = []
    for minute in range(from_hour * 60, (from_hour + hours) * 60, 10):
        north = 0.02 * ((minute // 60) % 3 == 2) * ((minute % 60) / 60)
        at = START_MS + minute * MINUTE + place
        items.append({"kind": "location", "t": at, "lat": 51 + place / 10 + north, "lon": 4.0})
    return items


async def exported(platform: InProcess, user_id: str) -> bytes:
    archive_ = await export(platform.context, platform.key, user_id)
    try:
        return b"".join([line async for line in archive_.lines()])
    finally:
        archive_.close()


async def imported(platform: InProcess, *archives: bytes) -> Adopted:
    adopted = await adopt(platform.context, [io.BytesIO(one) for one in archives], platform.app.app_id)
    await platform.settle()
    return adopted


def lines(archive_: bytes, *kinds: str) -> list[dict[str, Any]]:
    parsed = [json.loads(line) for line in archive_.splitlines()]
    return [line for line in parsed if not kinds or line["kind"] in kinds]


def same_person(archive_: bytes) -> list[bytes]:
    """The lines that an import must bring back: all but the app's id, the seal, and what is not imported."""
    skipped = {b'{"kind":"%s"' % kind for kind in (b"undone", b"tied", b"code", b"answer", b"end")}
    kept = [line for line in archive_.splitlines() if line.split(b",")[0] not in skipped]
    header = json.loads(kept[0])
    return [json.dumps({**header, "app_id": ""}).encode(), *kept[1:]]


def sealed(*given: bytes) -> bytes:
    """An archive of these lines, with a seal that is right."""
    body = b"".join(line.rstrip(b"\n") + b"\n" for line in given)
    end = {"kind": "end", "lines": len(given), "sha256": hashlib.sha256(body).hexdigest()}
    return body + json.dumps(end, separators=(",", ":")).encode() + b"\n"


async def everything(platform: InProcess) -> dict[str, list[Any]]:
    """Every table but those that count positions; the rows in an order of their own, as a database has none."""
    names = (await platform.context.store.catalogue()).keys() - {"log_head", "sqlite_sequence", "log_partitions"}
    return {
        name: sorted(await platform.context.store.read(lambda tx, name=name: tx.all(f"SELECT * FROM {name}")), key=repr)
        for name in sorted(names)
    }


async def anna(platform: InProcess) -> tuple[str, list[Phone]]:
    """A person with a history: three installs, one of them a tablet, another reset; metadata, another name."""
    phones = [await platform.register(), await platform.register(wire.Device("ios", idiom="pad"))]
    user_id = (await platform.link(phones[0], "anna")).id
    await platform.link(phones[1], "anna")
    await profile.merge_metadata(platform.context, phones[0].caller, {"plan": "gold", "ключ": "значение"})
    platform.clock.advance_to(START_MS + 10 * HOUR)
    await platform.upload(phones[0], [*captured(0, 0, 9), {"kind": "custom", "t": START_MS, "name": "x", "data": {}}])
    await platform.settle()
    phones.append(await platform.register())
    await platform.link(phones[2], "anna")
    platform.clock.advance_to(START_MS + 20 * HOUR)
    await platform.upload(phones[2], captured(1, 11, 8))
    await platform.upload(phones[0], captured(0, 7, 6))
    await platform.settle()
    await rename.rename(platform.context, platform.key, user_id, wire.Rename("anna@example.org"), ORDER)
    caller = authenticate.CredentialCaller(phones[1].credential)
    await tokens.reset(platform.context, caller)
    await platform.settle()
    return user_id, phones


def two(tmp_path: Path) -> tuple[InProcess, InProcess]:
    for name in ("from", "to"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    return InProcess(tmp_path / "from"), InProcess(tmp_path / "to", seed=2)


def test_export_import_export_is_the_same(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            first = await exported(here, user_id)
            adopted = await imported(there, first)
            assert (adopted.users[0].hex(), adopted.were_there, adopted.payloads) == (user_id, [], 3)
            again = await exported(there, user_id)
            assert same_person(again) == same_person(first)
            assert await there.timeline(user_id) == await here.timeline(user_id)
            assert await there.items(user_id) == await here.items(user_id)
            for by in (phones[2].own_user_id, user_id):
                assert (await profile.profile(there.context, there.key, by)).id == user_id

    asyncio.run(story())


def test_an_archive_holds_everything_and_no_secret(tmp_path):
    async def story() -> None:
        here, _ = two(tmp_path)
        async with here:
            user_id, phones = await anna(here)
            held = await exported(here, user_id)
            found = {
                kind: len(lines(held, kind)) for kind in ("install", "event", "payload", "metadata", "external_id")
            }
            assert found["install"] == 3
            assert found["payload"] == 3
            assert found["external_id"] == 2
            assert found["metadata"] == 1
            assert found["event"] > 3
            assert {line["fact"] for line in lines(held, "fact")} == {"registered", "linked", "renamed", "reset"}
            assert {line["user_id"] for line in lines(held, "user")} == {user_id, *(one.own_user_id for one in phones)}
            tables = await everything(here)
            assert not [text for text in secrets_of(here, tables) if text in held]
            for phone in phones:
                assert phone.credential.encode() not in held

    def secrets_of(platform: InProcess, tables: dict[str, list[Any]]) -> list[bytes]:
        digests = [
            value
            for name in ("installs", "api_keys", "apps", "spent_credentials", "registrations", "auth_codes")
            for row in tables[name]
            for value in row
            if isinstance(value, bytes) and len(value) > 12
        ]
        assert digests
        return [form for value in digests for form in (value.hex().encode(), base64.b64encode(value))]

    asyncio.run(story())


@dataclass
class Step:
    """What happens an hour after the step before, or in the same millisecond."""

    kind: str
    phone: int = 0
    person: str = "anna"
    hours: int = 1
    waits: bool = True


STEPS = st.builds(
    Step,
    kind=st.sampled_from(
        [
            *("register", "register tablet", "link", "link", "link", "upload", "undo", "undo", "disable", "enable"),
            *("reset", "rename", "erase install", "erase items"),
        ]
    ),
    phone=st.integers(0, 4),
    person=st.sampled_from(["anna", "bert", "carl"]),
    hours=st.integers(1, 5),
    waits=st.booleans(),
)


@dataclass
class Run:
    """One telling of a history."""

    platform: InProcess
    phones: list[Phone] = field(default_factory=list)
    links: list[str] = field(default_factory=list)

    async def tell(self, steps: list[Step]) -> None:
        hour = 0
        for step in steps:
            hour += step.waits
            self.platform.clock.advance_to(START_MS + hour * HOUR)
            with suppress(Refusal):
                await self._one(step, hour)
            if step.phone % 2:
                await self.platform.settle()
        await self.platform.settle()

    async def _one(self, step: Step, hour: int) -> None:
        platform = self.platform
        if step.kind.startswith("register"):
            tablet = wire.Device("ios", idiom="pad") if step.kind.endswith("tablet") else None
            self.phones.append(await platform.register(tablet))
            return
        if not self.phones:
            return
        phone = self.phones[step.phone % len(self.phones)]
        match step.kind:
            case "link":
                self.links.append((await platform.link(phone, step.person)).link_id)
            case "undo" if self.links:
                self.links.append((await platform.undo(self.links[step.phone % len(self.links)])).undo_id)
            case "upload":
                await platform.upload(phone, captured(step.phone, max(hour - step.hours, 0), step.hours))
            case "disable" | "enable":
                await operate.set_install_state(
                    platform.context, platform.key, phone.install_id, f"{step.kind}d", ORDER
                )
            case "rename":
                renamed = wire.Rename(step.person, release_old=step.hours % 2 == 1)
                await rename.rename(platform.context, platform.key, phone.own_user_id, renamed, ORDER)
            case "erase install" | "erase items":
                await self._erase(step, phone)
            case "reset":
                await tokens.reset(platform.context, authenticate.CredentialCaller(phone.credential))
            case _:
                pass

    async def _erase(self, step: Step, phone: Phone) -> None:
        context, key = self.platform.context, self.platform.key
        if step.kind == "erase install":
            await erase_part.erase_install(context, key, phone.install_id, dry_run=False)
        else:
            window = (START_MS + step.phone * HOUR, START_MS + (step.phone + step.hours) * HOUR)
            await erase_part.erase_items(context, key, phone.own_user_id, *window, dry_run=False)


async def people_of(platform: InProcess) -> list[str]:
    rows = await platform.context.store.read(
        lambda tx: tx.all("SELECT user_id FROM users WHERE redirect IS NULL ORDER BY user_id")
    )
    return [row[0].hex() for row in rows]


async def moves_whole(directory: Path, steps: list[Step], takeover: str) -> int:
    here, there = two(directory)
    async with here, there:
        await here.set_policy(takeover=takeover, used_install="claim" if len(steps) % 2 else "refuse")
        await Run(here).tell([Step("register"), Step("register"), *steps])
        people = await people_of(here)
        archives = [await exported(here, user_id) for user_id in people]
        await imported(there, *archives)
        for user_id, before in zip(people, archives, strict=True):
            assert same_person(await exported(there, user_id)) == same_person(before)
        await is_what_the_facts_say(there)
        return len(people)


async def is_what_the_facts_say(platform: InProcess) -> None:
    """The tables hold what the fold of the whole ledger says, but for when an id was given out."""
    app_id = platform.app.app_id
    entries = await platform.context.store.read(lambda tx: ledger.facts_of_app(tx, app_id, 0, 1_000_000))
    facts = [fact for entry in entries if (fact := fact_of(entry)) is not None]
    people = labelled(refold(facts))
    assert (await everything(platform))["users"]
    for user in people.users.values():
        kept = await platform.context.store.read(lambda tx, one=user.user_id: identity.read_user(tx, app_id, one))
        assert kept is not None
        assert kept._replace(created_at=user.created_at) == user
    for install in people.installs.values():
        one = install.install_id
        assert await platform.context.store.read(lambda tx, one=one: identity.read_install(tx, app_id, one)) == install
        assert await platform.context.store.read(lambda tx, one=one: identity.read_spans(tx, one)) == people.spans[one]
    tables = await everything(platform)
    assert {row[0] for row in tables["users"]} == people.users.keys()
    assert {row[0] for row in tables["installs"]} == people.installs.keys()
    assert {KEY_RING.open(row[0], row[1]): row[2] for row in tables["carriers"]} == people.carriers


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=14), takeover=st.sampled_from(["never", "standby"]))
def test_any_history_moves_whole(tmp_path_factory, steps, takeover):
    asyncio.run(moves_whole(tmp_path_factory.mktemp("moved"), steps, takeover))


@pytest.mark.prove
@settings(max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, min_size=2, max_size=25), takeover=st.sampled_from(["never", "standby"]))
def test_two_thousand_histories_move_whole(tmp_path_factory, steps, takeover):
    asyncio.run(moves_whole(tmp_path_factory.mktemp("moved"), steps, takeover))


def test_a_person_tied_to_another_by_an_undone_link_comes_with_that_one_only(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            first, second = await here.register(), await here.register()
            linked = await here.link(first, "anna")
            await here.link(second, "anna")
            here.clock.advance_to(START_MS + HOUR)
            undone = await here.undo(linked.link_id)
            alone, other = await exported(here, linked.id), await exported(here, undone.own_user_id)
            assert [line["fact"] for line in lines(alone, "undone")] == ["linked", "unlinked"]
            assert first.install_id.encode() not in alone
            before = await everything(there)
            for one in (other, alone):
                with pytest.raises(InvalidRequest, match="tied to that of another person, who does not come along"):
                    await imported(there, one)
                assert await everything(there) == before
            await imported(there, other, alone)
            assert same_person(await exported(there, linked.id)) == same_person(alone)
            assert same_person(await exported(there, undone.own_user_id)) == same_person(other)
            assert (await there.undo(linked.link_id)).undo_id == undone.undo_id
            await there.undo(undone.undo_id)
            assert (await profile.profile(there.context, there.key, linked.id)).external_id == "anna"

    asyncio.run(story())


# What is refused


async def an_archive(tmp_path: Path) -> bytes:
    async with InProcess(tmp_path, seed=3) as platform:
        await platform.set_policy(link_burst="30")
        user_id, _ = await anna(platform)
        return await exported(platform, user_id)


def changed(archive_: bytes, kind_: str, /, **members: Any) -> bytes:
    """One line of a kind says otherwise, and the seal is right."""
    told = archive_.splitlines()[:-1]
    place = next(n for n, line in enumerate(told) if json.loads(line)["kind"] == kind_)
    told[place] = json.dumps({**json.loads(told[place]), **members}, separators=(",", ":"), ensure_ascii=False).encode()
    return sealed(*told)


def repeated(archive_: bytes, kind_: str) -> bytes:
    """The last line of a kind stands there twice, and the seal is right."""
    told = archive_.splitlines()[:-1]
    place = max(n for n, line in enumerate(told) if json.loads(line)["kind"] == kind_)
    return sealed(*told[: place + 1], *told[place:])


def without_unused(archive_: bytes) -> bytes:
    """The install that never uploaded has no line, and the seal is right."""
    told = archive_.splitlines()[:-1]
    return sealed(*[line for line in told if b'"used":false' not in line])


OTHER_ID = "f" * 24
DAMAGE = {
    "cut in a line": (lambda told: told[: len(told) // 2], r"Line \d+: The line has no end"),
    "cut after a line": (lambda told: b"".join(told.splitlines(keepends=True)[:-1]), r"ends before its last line"),
    "nothing": (lambda _: b"", r"Line 1: The file ends"),
    "no archive": (lambda _: b"PK\x03\x04\n", r"Line 1: This is no archive"),
    "a byte of a payload": (lambda told: told.replace(b'"lat": 51.0', b'"lat": 52.0', 1), r"The checksum is another"),
    "a line less": (lambda told: b"".join(told.splitlines(keepends=True)[:-3]) + told.splitlines()[-1] + b"\n", "seal"),
    "a line after": (lambda told: told + b"{}\n", r"Something follows"),
    "an instant beyond all calendars": (
        lambda told: changed(told, "user", created_at=2**63),
        r"Line 2: .*as it was written",
    ),
    "an instant before the epoch": (lambda told: changed(told, "event", start=-1), r"Line \d+: .*as it was written"),
    "no revision": (lambda told: changed(told, "event", revision=2**70), r"Line \d+: .*as it was written"),
    "two headers": (lambda told: sealed(told.splitlines()[0], told.splitlines()[0]), r"Line 2: .*cannot stand here"),
    "another order": (lambda told: sealed(*told.splitlines()[:-1], told.splitlines()[1]), r"'user' cannot stand here"),
    "another format": (lambda told: changed(told, "header", format=2), r"Line 1: The archive is of format 2"),
    "a wrong count": (lambda told: changed(told, "header", payloads=7), r"The header speaks of 7 payloads"),
    "an unknown kind": (lambda told: changed(told, "metadata", kind="secret"), r"Line \d+: .*not as it was written"),
    "an unknown member": (lambda told: changed(told, "fact", more=1), r"Line \d+: .*not as it was written"),
    "a payload of no id": (
        lambda told: changed(told, "payload", install_id="zz"),
        r"Line \d+: The payload is of an install",
    ),
    "no id": (lambda told: changed(told, "install", install_id="abc"), r"Line \d+: 'abc' is no id"),
    "a state": (lambda told: changed(told, "install", standing="standby"), r"Line \d+: .*does not follow"),
    "an activation": (lambda told: changed(told, "span", to=START_MS + 7), r"Line \d+: .*does not follow"),
    "another user": (
        lambda told: changed(told, "user", user_id=OTHER_ID),
        r"Line \d+: .*does not speak of th(e|is) user",
    ),
    "another holder": (lambda told: changed(told, "user", holder=OTHER_ID), r"Line 2: .*does not follow"),
    "a fact": (lambda told: changed(told, "fact", at=START_MS + 1), r"Line \d+: .*does not follow"),
    "a fact's fields": (lambda told: changed(told, "fact", fields={"form": "boat"}), r"Line \d+: This is no fact"),
    "a fact's kind": (lambda told: changed(told, "fact", fact="policy changed"), r"Line \d+: This is no fact"),
    "a fact twice": (lambda told: repeated(told, "fact"), r"Line \d+: The fact is in the archive twice"),
    "a policy twice": (lambda told: repeated(told, "policy"), r"Line \d+: The fact is in the archive twice"),
    "an install less": (without_unused, r"The facts make installs that no archive speaks of"),
    "a foreign install": (
        lambda told: changed(told, "fact", install_id=OTHER_ID),
        r"does not follow|no archive brings",
    ),
    "an offset": (lambda told: changed(told, "payload", offset_ms=31_000), r"Line \d+: The clock offset"),
    "a foreign payload": (lambda told: changed(told, "payload", install_id=OTHER_ID), r"Line \d+: The payload is of"),
    "metadata of another": (
        lambda told: changed(told, "metadata", user_id=OTHER_ID),
        r"Line \d+: The archive does not speak of this user",
    ),
    "no upload": (lambda told: changed(told, "payload", body={"sent_at": 1}), r"Line \d+: The body is no upload"),
    "two bodies": (lambda told: changed(told, "payload", body_base64="e30="), r"Line \d+: A payload has one body"),
    "no base64": (
        lambda told: changed(told, "payload", body=None, body_base64="§"),
        r"Line \d+: The body is no base64",
    ),
    "no event": (lambda told: changed(told, "event", event={"type": "Party"}), r"Line \d+: This is no event"),
    "another event": (lambda told: changed(told, "event", event_id="x"), r"Line \d+: The event is another"),
    "no device": (lambda told: changed(told, "install", device={}), r"Line \d+: What the SDK reported"),
    "unused": (lambda told: changed(told, "install", used=False), r"Line \d+: The payload is of an install"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path, damage):
    spoil, told = damage

    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        spoilt = spoil(archive_)
        assert spoilt != archive_
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            before = await everything(there)
            with pytest.raises(InvalidRequest, match=told):
                await imported(there, spoilt)
            assert await everything(there) == before
            await imported(there, archive_)

    asyncio.run(story())


def test_any_changed_byte_is_noticed(tmp_path):
    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            before = await everything(there)
            for place in range(0, len(archive_), 997):
                spoilt = archive_[:place] + bytes([archive_[place] ^ 1]) + archive_[place + 1 :]
                with pytest.raises(Refusal):
                    await imported(there, spoilt)
            assert await everything(there) == before

    asyncio.run(story())


def test_the_same_person_again_changes_nothing_and_another_is_refused(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            first = await exported(here, user_id)
            await imported(there, first)
            before = await everything(there)
            again = await imported(there, first)
            assert ([one.hex() for one in again.were_there], again.users) == ([user_id], [])
            assert await everything(there) == before
            here.clock.advance_to(START_MS + 21 * HOUR)
            await here.upload(phones[2], captured(1, 20, 1))
            with pytest.raises(Conflict, match="is there already, and is not as in the archive"):
                await imported(there, await exported(here, user_id))
            with pytest.raises(InvalidRequest):
                await imported(there, first[:-10])
            assert await everything(there) == before

    asyncio.run(story())


def test_a_file_that_is_named_twice_is_refused_in_a_sentence_and_leaves_nothing(tmp_path):
    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            before = await everything(there)
            with pytest.raises(InvalidRequest, match=r"The user [0-9a-f]{24} is in two of the files"):
                await imported(there, archive_, archive_)
            assert await everything(there) == before
            await imported(there, archive_)

    asyncio.run(story())


def test_an_external_id_in_use_and_an_erased_person_are_refused(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, _ = await anna(here)
            first = await exported(here, user_id)
            other = (await there.link(await there.register(), "anna")).id
            with pytest.raises(Conflict, match="'anna' is in use"):
                await imported(there, first)
            await erase.erase(there.context, there.key, other, dry_run=False)
            await imported(there, first)
            await erase.erase(there.context, there.key, user_id, dry_run=False)
            before = await everything(there)
            with pytest.raises(Conflict, match="was erased here"):
                await imported(there, first)
            assert await everything(there) == before

    asyncio.run(story())


def test_an_app_that_is_not_there_is_named(tmp_path):
    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to", seed=9) as there:
            with pytest.raises(NotFound, match="There is no app") as refused:
                await adopt(there.context, [io.BytesIO(archive_)])
            assert "--app" in (refused.value.hint or "")

    asyncio.run(story())


# Policies


def test_policies_come_into_an_app_without_people_and_bind_in_one_with_people(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            await here.set_policy(takeover="standby")
            phone, tablet = await here.register(), await here.register(wire.Device("ios", idiom="pad"))
            user_id = (await here.link(phone, "anna")).id
            await here.link(tablet, "anna")
            here.clock.advance_to(START_MS + HOUR)
            await tokens.reset(here.context, authenticate.CredentialCaller(phone.credential))
            first = await exported(here, user_id)
            (tmp_path / "third").mkdir()
            async with InProcess(tmp_path / "third", seed=4) as third:
                await third.register()
                with pytest.raises(InvalidRequest, match="does not follow") as refused:
                    await imported(third, first)
                assert "policy" in (refused.value.hint or "")
            await imported(there, first)
            assert same_person(await exported(there, user_id)) == same_person(first)
            app = await there.context.store.read(lambda tx: tx.one("SELECT policy FROM apps"))
            assert json.loads(app[0])["takeover"] == "standby"
            later = (await here.link(await here.register(), "bert")).id
            await imported(there, await exported(here, later))

    asyncio.run(story())


# What comes in


def test_an_imported_install_holds_no_credential_and_is_told_to_register_anew(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            await imported(there, await exported(here, user_id))
            caller = authenticate.CredentialCaller(phones[2].credential)
            for key in (None, "a7f2c1d0-0000-4000-8000-000000000001"):
                with pytest.raises(InstallCloned):
                    await tokens.renew(there.context, caller, key)
            anew = await there.register()
            assert (await there.link(anew, "anna")).id == user_id

    asyncio.run(story())


def test_a_body_that_cannot_stand_in_a_line_comes_back_as_it_came(tmp_path):
    bodies = [
        b'{"sent_at": %d,\n "payloads": [{"payload_id": "019ab3f0-6f00-7000-8000-0123456789ab", "items": []}]}\r\n',
        b'{ "sent_at":%d ,"payloads":[{"payload_id":"019ab3f0-6f00-7000-8000-0123456789ab","items":[]}]}  ',
    ]

    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            phone = await here.register()
            for body in bodies:
                await ingest.ingest(here.context, phone.caller, body % START_MS, zstd_body=None)
            first = await exported(here, phone.own_user_id)
            assert [("body_base64" in line) for line in lines(first, "payload")] == [True, False]
            await imported(there, first)
            told = lines(await exported(there, phone.own_user_id), "payload")
            assert told == lines(first, "payload")
            assert base64.b64decode(told[0]["body_base64"]) == bodies[0] % START_MS

    asyncio.run(story())


def test_what_waits_to_be_processed_is_exported_and_what_comes_later_is_not(tmp_path):
    async def story() -> None:
        here, _ = two(tmp_path)
        async with here:
            phone = await here.register()
            here.clock.advance_to(START_MS + 9 * HOUR)
            for hour in range(5):
                await here.upload(phone, captured(0, hour, 1))
            opened = await export(here.context, here.key, phone.own_user_id)
            told = []
            async for line in opened.lines():
                if len(told) == 3:
                    await here.upload(phone, captured(0, 7, 1))
                    await here.settle()
                told.append(line)
            opened.close()
            assert opened.header.timeline_is_complete is False
            assert len(lines(b"".join(told), "payload")) == 5
            assert not lines(b"".join(told), "event")
            after = await exported(here, phone.own_user_id)
            assert lines(after, "header")[0]["timeline_is_complete"] is True
            assert lines(after, "payload")[:5] == lines(b"".join(told), "payload")

    asyncio.run(story())


def test_an_upload_that_could_not_be_processed_is_in_the_archive_and_in_no_ones_way(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            for _ in range(20):
                await here.upload(phones[2], captured(1, 19, 1))
            await here.context.store.write(lambda tx: tx.run("UPDATE log_records SET body = $1", b"damaged"))
            await here.settle()
            told = await exported(here, user_id)
            letters = lines(told, "dead_letter")
            assert [base64.b64decode(letter["body_base64"]) for letter in letters] == [b"damaged"] * 20
            assert {letter["install_id"] for letter in letters} == {phones[2].install_id}
            await imported(there, told)
            again = await exported(there, user_id)
            assert same_person(again) == [line for line in same_person(told) if b'"dead_letter"' not in line]

    asyncio.run(story())


def test_an_erasure_in_the_middle_breaks_the_export_off(tmp_path):
    async def story() -> None:
        here, _ = two(tmp_path)
        async with here:
            phone = await here.register()
            for _ in range(20):
                await here.upload(phone, captured(0, 0, 1))
            await here.settle()
            opened = await export(here.context, here.key, phone.own_user_id)
            told = []

            async def read_on() -> None:
                async for line in opened.lines():
                    told.append(line)
                    if line.startswith(b'{"kind":"payload"') and len(told) < 12:
                        await erase.erase(here.context, here.key, phone.own_user_id, dry_run=False)

            with pytest.raises(Conflict, match="was deleted while it was read"):
                await read_on()
            opened.close()
            assert b'{"kind":"end"' not in b"".join(told)

    asyncio.run(story())


@pytest.mark.parametrize("part", ["an install", "some items"])
def test_a_part_erased_in_the_middle_breaks_the_export_off_and_before_it_is_left_out(tmp_path, part):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            user_id, phones = await anna(here)
            opened = await export(here.context, here.key, user_id)
            context, key = here.context, here.key
            if part == "an install":
                await erase_part.erase_install(context, key, phones[0].install_id, dry_run=False)
            else:
                window = (START_MS + 8 * HOUR, START_MS + 9 * HOUR)
                await erase_part.erase_items(context, key, user_id, *window, dry_run=False)
            told = []

            async def read_on() -> None:
                async for line in opened.lines():
                    told[:] = [line]

            with pytest.raises(Conflict, match="was deleted while it was read"):
                await read_on()
            opened.close()
            assert told[-1][:13] != b'{"kind":"end"'
            after = await exported(here, user_id)
            assert [line["fact"] for line in lines(after, "fact")][-1] == "erased"
            await imported(there, after)
            assert same_person(await exported(there, user_id)) == same_person(after)

    asyncio.run(story())


def test_events_whose_payloads_are_no_longer_kept_come_as_they_are(tmp_path):
    async def story() -> None:
        here, there = two(tmp_path)
        async with here, there:
            phone = await here.register()
            user_id = (await here.link(phone, "anna")).id
            for day in range(100):
                here.clock.advance_to(START_MS + (day + 1) * DAY)
                await here.upload(phone, captured(day % 3, day * 24, 6))
            await here.settle()
            (done,) = await retention.retain(here.context, share=1)
            assert done.payloads > 5
            first = await exported(here, user_id)
            assert lines(first, "floor")
            await imported(there, first)
            assert same_person(await exported(there, user_id)) == same_person(first)
            assert await there.timeline(user_id) == await here.timeline(user_id)

    asyncio.run(story())


# Whole or not at all


def test_nobody_sees_a_person_before_it_is_whole(tmp_path):
    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            user_id = lines(archive_, "header")[0]["user_id"]
            seen: list[int] = []
            adopting = asyncio.create_task(imported(there, archive_))
            while not adopting.done():
                with suppress(NotFound):
                    held = await exported(there, user_id)
                    seen.append(len(lines(held, "payload")))
                await asyncio.sleep(0)
            await adopting
            assert set(seen) <= {3}

    asyncio.run(story())


class Killed(BaseException):
    """As if the process had ended: nothing is tidied up."""


class DyingFile(io.BytesIO):
    """A file whose reader dies at a line."""

    def __init__(self, held: bytes, at: int) -> None:
        super().__init__(held)
        self._left = at

    def readline(self, limit: int | None = -1, /) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise Killed
        return super().readline(limit)


def test_what_a_killed_import_left_is_cleared_away_by_the_next(tmp_path, monkeypatch):
    async def leave_it(*_: object) -> None:
        pass

    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        for name in ("to", "clean"):
            (tmp_path / name).mkdir()
        async with InProcess(tmp_path / "to") as there, InProcess(tmp_path / "clean") as clean:
            await imported(clean, archive_)
            with monkeypatch.context() as patched:
                patched.setattr(adoption, "discard", leave_it)
                patched.setattr("unbroken.flow.adopt._BATCH_ROWS", 1)
                with pytest.raises(Killed):
                    await adopt(there.context, [DyingFile(archive_, len(archive_.splitlines()) - 1)], there.app.app_id)
            left = await everything(there)
            assert left["imports"]
            assert left["payloads"]
            assert not left["installs"]
            await there.settle()
            await imported(there, archive_)
            tables, whole = await everything(there), await everything(clean)
            assert not tables["imports"]
            for name in ("payloads", "events", "installs", "users", "spans", "chunks"):
                assert len(tables[name]) == len(whole[name]), name

    asyncio.run(story())


def test_of_two_imports_of_one_person_the_later_goes_on_and_the_earlier_notices(tmp_path, monkeypatch):
    monkeypatch.setattr("unbroken.flow.adopt._BATCH_ROWS", 1)

    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            both = [adopt(there.context, [io.BytesIO(archive_)], there.app.app_id) for _ in range(2)]
            first, second = await asyncio.gather(*both, return_exceptions=True)
            assert isinstance(first, Conflict)
            assert "Another import" in first.message
            assert isinstance(second, Adopted)
            await there.settle()
            user_id = lines(archive_, "header")[0]["user_id"]
            assert same_person(await exported(there, user_id)) == same_person(archive_)
            assert not (await everything(there))["imports"]

    asyncio.run(story())


def test_what_a_silent_run_left_of_anybody_goes_with_the_next_import(tmp_path):
    async def story() -> None:
        archive_ = await an_archive(tmp_path)
        (tmp_path / "to").mkdir()
        async with InProcess(tmp_path / "to") as there:
            long_ago, just_now = (there.context.wall.now_ms() - age for age in (SILENT_MS + 1_000, SILENT_MS // 2))
            for run, at in ((b"dead", long_ago), (b"alive", just_now)):
                await there.context.store.write(
                    lambda tx, run=run, at=at: adoption.claim(tx, run, [InstallId(run)], [], at, 0)
                )
            await imported(there, archive_)
            assert [bytes(row[2]) for row in (await everything(there))["imports"]] == [b"alive"]

    asyncio.run(story())


def test_the_kinds_of_line_stand_in_the_reference():
    page = (__import__("pathlib").Path(__file__).parents[3] / "docs" / "reference" / "export.md").read_text("utf-8")
    for kinds in archive.ORDER:
        for kind in kinds:
            tag = kind.__struct_config__.tag
            section = page.partition(f"## `{tag}`\n")[2].partition("\n## ")[0]
            assert section, f"no heading for {tag}"
            missing = [name for name in kind.__struct_encode_fields__ if f"`{name}`" not in section]
            assert not missing, (tag, missing)
