"""Link tickets: without the install's own nothing links where one is required, and nobody guesses one."""

from __future__ import annotations

import asyncio
import json
from random import Random  # noqa: TID251 - seeded, so that a failure can be played again

import pytest
from typer.testing import CliRunner

from unbroken import wire
from unbroken.cli import program
from unbroken.credentials import PREFIXES, Kind, Signed
from unbroken.domain.errors import InstallNotFound, InvalidLinkTicket
from unbroken.domain.link import Ticket
from unbroken.flow import codes, link, tokens
from unbroken.store import reach, traces
from unbroken.testing.in_process import InProcess

CALLS, GUESSES, MANY_GUESSES = 200, 10_000, 1_000_000
AT_ONCE = 500
MINUTE = 60_000
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


async def linked(platform, install_id, external_id="eve", ticket=None):
    body = wire.Link(external_id, link_ticket=ticket)
    return await link.link(platform.context, platform.key, install_id, body, dry_run=False, same=None)


async def ticket_of(platform, phone):
    ticket = (await tokens.own_state(platform.context, phone.caller)).link_ticket
    assert ticket is not None
    return ticket


def test_where_one_is_required_an_install_id_alone_links_nothing_and_its_own_ticket_does(story):
    async def tell(platform):
        await platform.set_policy(link_ticket="required")
        phone, other = await platform.register(), await platform.register()
        for ticket in (None, await ticket_of(platform, other)):
            with pytest.raises(InvalidLinkTicket):
                await linked(platform, phone.install_id, ticket=ticket)
        own = await ticket_of(platform, phone)
        assert (await linked(platform, phone.install_id, ticket=own)).state == "active"

    story(tell)


def test_a_ticket_ends_after_ten_minutes(story):
    async def tell(platform):
        phone = await platform.register()
        ticket = await ticket_of(platform, phone)
        platform.clock.advance_to(platform.clock.now_ms() + 10 * MINUTE)
        with pytest.raises(InvalidLinkTicket):
            await linked(platform, phone.install_id, ticket=ticket)

    story(tell)


def guessed_id(random, known):
    """By somebody who knows ids: made up, of the same second as one, or next to one."""
    one = random.choice(known)
    match random.randrange(3):
        case 0:
            return random.randbytes(12).hex()
        case 1:
            return one[:8] + random.randbytes(8).hex()
        case _:
            return f"{int(one, 16) ^ 1 << random.randrange(96):024x}"


def guessed_ticket(random, vault, app_id, install_id, known):
    """By somebody who has tickets: made up, of other ids or times, or one with a letter changed."""
    one = random.choice(known)
    match random.randrange(4):
        case 0:
            return PREFIXES[Kind.LINK_TICKET] + "".join(random.choices(LETTERS, k=len(one) - 9))
        case 1:
            place = random.randrange(9, len(one))
            return one[:place] + random.choice(LETTERS.replace(one[place], "")) + one[place + 1 :]
        case 2:
            return vault.sign(Kind.LINK_TICKET, Signed(app_id, random.randbytes(12), random.randrange(1 << 42)))
        case _:
            return vault.sign(Kind.USER_TOKEN, Signed(app_id, install_id, 1 << 42))


class Guesser:
    """Knows the ids of some installs, and tickets of each; guesses by a seed."""

    def __init__(self, platform, known):
        self.random = Random(len(known))
        self.platform, self.known = platform, known  # the ticket by the id
        expired = [platform.context.vault.sign(Kind.LINK_TICKET, Signed(self.app_id, id_, 1)) for id_ in known]
        self.tickets = [*known.values(), *expired]

    @classmethod
    async def of(cls, platform):
        phones = [await platform.register() for _ in range(20)]
        return cls(platform, {bytes.fromhex(phone.install_id): await ticket_of(platform, phone) for phone in phones})

    @property
    def app_id(self):
        return self.platform.app.app_id

    def install(self):
        return bytes.fromhex(guessed_id(self.random, [one.hex() for one in self.known]))

    def ticket(self):
        """For one of the installs, and not its own."""
        install_id = self.random.choice([*self.known])
        others = [text for text in self.tickets if text != self.known[install_id]]
        return install_id, guessed_ticket(self.random, self.platform.context.vault, self.app_id, install_id, others)


def test_some_guesses_of_installs_and_tickets_link_nothing(story):
    async def tell(platform):
        guesser = await Guesser.of(platform)
        for _ in range(CALLS):
            with pytest.raises(InstallNotFound):
                await linked(platform, guesser.install().hex())
            install_id, ticket = guesser.ticket()
            with pytest.raises(InvalidLinkTicket):
                await linked(platform, install_id.hex(), ticket=ticket)
        for install_id, own in guesser.known.items():
            assert (await linked(platform, install_id.hex(), install_id.hex(), own)).state == "active"

    story(tell)


async def guess(platform, count):
    """What a link call looks at first, asked so often: is there such an install, is this its ticket?"""
    guesser = await Guesser.of(platform)

    async def find(tx):
        return [await reach.of_install(tx, guesser.install()) for _ in range(AT_ONCE)]

    hits = []
    for _ in range(count // 2 // AT_ONCE):
        hits += [found for found in await platform.context.store.read_long(find) if found is not None]
        for install_id, ticket in (guesser.ticket() for _ in range(AT_ONCE)):
            shown = link.ticket_shown(platform.context, guesser.app_id, install_id, ticket)
            hits += [shown] if shown is not Ticket.INVALID else []
    for install_id, own in guesser.known.items():
        assert await platform.context.store.read(lambda tx, id_=install_id: reach.of_install(tx, id_)) is not None
        assert link.ticket_shown(platform.context, guesser.app_id, install_id, own) is Ticket.VALID
    return hits


def test_some_thousand_guesses_find_no_install_and_no_ticket(story):
    assert story(lambda platform: guess(platform, GUESSES)) == []


@pytest.mark.prove
def test_a_million_guesses_find_no_install_and_no_ticket(story):
    assert story(lambda platform: guess(platform, MANY_GUESSES)) == []
    print(f"\n{MANY_GUESSES} guesses, 0 hits")


def test_the_newest_links_tell_whether_tickets_are_handed_on_and_a_code_tells_nothing(story):
    async def tell(platform):
        for has_ticket in (True, False, True):
            phone = await platform.register()
            ticket = await ticket_of(platform, phone) if has_ticket else None
            await linked(platform, phone.install_id, phone.install_id, ticket)
        code = await codes.mint(platform.context, platform.key, "anna", None)
        await codes.redeem(platform.context, (await platform.register()).caller, code.authentication_code, None)
        told = [
            await platform.context.store.read_long(lambda tx, n=n: traces.tickets_of_app(tx, platform.app.app_id, n))
            for n in (2, 10)
        ]
        assert told == [(1, 1), (3, 2)]

    story(tell)


# What the doctor says of an app that requires none


@pytest.fixture
def data(tmp_path):
    data = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", str(data)]).exit_code == 0
    return data


def told_by_the_doctor(data):
    """What it says of links, of the app that a story is about."""
    done = CliRunner().invoke(program, ["doctor", "--data", str(data), "--json"])
    checks = json.loads(done.stdout)["checks"]
    told = [one for one in checks if one["check"] == "links of apps" and "The app app links" in one["sentence"]]
    assert {one["verdict"] for one in told} <= {"warning"}
    return [one["sentence"] for one in told]


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [
        ([], "Where your server passes it on: unbroken app policy"),
        (
            [True, True],
            "Each of its last 2 links carried one all the same, so nobody is refused by: unbroken app policy",
        ),
        ([True, False, False], "Of its last 3 links 1 carried one; the others would be refused."),
        ([False], "None of its last 1 links carried one. Let your server pass on what the SDK gives"),
    ],
)
def test_the_doctor_on_the_command_line_warns_and_says_how_many_links_carried_one(data, shown, sentence):
    async def fill():
        async with InProcess(data) as platform:
            for has_ticket in shown:
                phone = await platform.register()
                ticket = await ticket_of(platform, phone) if has_ticket else None
                await linked(platform, phone.install_id, phone.install_id, ticket)

    asyncio.run(fill())
    (told,) = told_by_the_doctor(data)
    assert sentence in told
    assert "link_ticket=required" in told


@pytest.mark.parametrize("body", ["{", "[]", "{}", '{"inputs": 7}', '{"inputs": {"state": "active"}}'])
def test_the_doctor_on_the_command_line_reads_over_links_that_tell_nothing(data, body):
    async def fill():
        async with InProcess(data) as platform:
            phone = await platform.register()
            link_id = (await linked(platform, phone.install_id)).link_id
            change = "UPDATE traces SET body = $1 WHERE fact_id = $2"
            await platform.context.store.write(lambda tx: tx.run(change, body, bytes.fromhex(link_id)))

    asyncio.run(fill())
    (told,) = told_by_the_doctor(data)
    assert "Where your server passes it on" in told


@pytest.mark.parametrize("policy", [{"link_ticket": "required"}, {"linking": "off"}])
def test_the_doctor_on_the_command_line_says_nothing_where_one_is_required_or_nothing_links(data, policy):
    async def fill():
        async with InProcess(data) as platform:
            await platform.set_policy(**policy)

    asyncio.run(fill())
    assert told_by_the_doctor(data) == []
