"""What a device proved is kept with its link, and what it proved it with is taken once in an app."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from tests.unit.flow.test_archive import everything
from typer.testing import CliRunner

from unbroken import wire
from unbroken.cli import program
from unbroken.domain.errors import AttestationReplayed, NotFound, Refusal
from unbroken.flow import administer, erase, explain, link, profile, register
from unbroken.flow.authenticate import AppCaller, KeyCaller
from unbroken.testing.in_process import InProcess

CHALLENGE, PROOF = "c1" * 32, "9f" * 32
OTHER = "aa" * 32


def attested(challenge=CHALLENGE, proof=PROOF):
    return wire.Attested("app_attest", "app_attest", challenge_digest=challenge, proof_digest=proof)


async def linked(platform, phone, external_id="anna", said=None, *, key=None, dry_run=False):
    body = wire.Link(external_id, attestation=said)
    key = key or platform.key
    return await link.link(platform.context, key, phone.install_id, body, dry_run=dry_run, same=None)


async def rows(platform):
    return [(row[1].hex(), row[2].hex()) for row in (await everything(platform))["used_proofs"]]


@pytest.mark.parametrize("again", [attested(), attested(challenge=OTHER), attested(proof=OTHER)])
def test_a_challenge_or_a_proof_that_was_used_links_no_other_install(story, again):
    async def tell(platform):
        first, second = await platform.register(), await platform.register()
        await linked(platform, first, "anna", attested())
        before = await rows(platform)
        with pytest.raises(AttestationReplayed) as caught:
            await linked(platform, second, "ben", again)
        assert caught.value.hint
        assert await rows(platform) == before
        (refused,) = (await explain.explain(platform.context, platform.key, second.install_id, None)).refused_links
        assert (refused.row, refused.error_code) == ("attestation", "ATTESTATION_REPLAYED")
        assert [one.if_ for one in refused.counterfactuals] == [{"is_replayed": False}]
        await linked(platform, second, "ben", attested(OTHER, "bb" * 32))

    story(tell)


def test_a_challenge_raced_by_sixteen_installs_links_one(story):
    async def tell(platform):
        phones = [await platform.register() for _ in range(16)]
        calls = [linked(platform, phone, phone.install_id, attested()) for phone in phones]
        came = await asyncio.gather(*calls, return_exceptions=True)
        won = [phone for phone, one in zip(phones, came, strict=True) if isinstance(one, wire.Linked)]
        assert len(won) == 1
        assert {type(one) for one in came} == {wire.Linked, AttestationReplayed}
        assert sorted(await rows(platform)) == [(PROOF, won[0].install_id), (CHALLENGE, won[0].install_id)]

    story(tell)


def test_the_same_link_said_again_answers_the_same_with_any_proof_or_none(story):
    async def tell(platform):
        phone = await platform.register()
        first = await linked(platform, phone, "anna", attested())
        before = await everything(platform)
        for said in (attested(), attested(OTHER, "bb" * 32), None):
            assert await linked(platform, phone, "anna", said) == first
        assert await everything(platform) == before

    story(tell)


def test_two_at_once_from_one_install_are_one_link(story):
    async def tell(platform):
        phone = await platform.register()
        one, other = await asyncio.gather(*(linked(platform, phone, "anna", attested()) for _ in range(2)))
        assert one == other
        assert len(await rows(platform)) == 2

    story(tell)


def test_after_an_undo_the_device_answers_a_new_challenge(story):
    async def tell(platform):
        phone = await platform.register()
        await platform.undo((await linked(platform, phone, "anna", attested())).link_id)
        with pytest.raises(AttestationReplayed):
            await linked(platform, phone, "anna", attested())
        await linked(platform, phone, "anna", attested(OTHER, "bb" * 32))

    story(tell)


def test_what_did_not_link_uses_nothing_up(story):
    async def tell(platform):
        phone = await platform.register()
        await linked(platform, phone, "anna", attested(), dry_run=True)
        with pytest.raises(Refusal):
            await linked(platform, phone, "null", attested())
        assert await rows(platform) == []
        await linked(platform, phone, "anna", attested())

    story(tell)


def test_apps_know_nothing_of_each_other(story):
    async def tell(platform):
        made = await administer.create_app(platform.context, "other")
        app = await administer.app_by_id(platform.context, made.app_id)
        key = KeyCaller(app, platform.key.key_id, platform.key.scopes, "other")
        body = wire.Register(wire.Device("android"), wire.SdkVersion("test", "1"))
        theirs = await register.register(platform.context, AppCaller(app), body, None)
        await linked(platform, await platform.register(), "anna", attested())
        await linked(platform, theirs, "anna", attested(), key=key)

    story(tell)


def test_the_level_is_told_with_the_install_and_with_its_explanation(story):
    async def tell(platform):
        phone, plain = await platform.register(), await platform.register()
        refused = wire.Attested("none", "play_classic", "stale")
        user_id = (await linked(platform, phone, "anna", refused)).id
        await linked(platform, plain, "anna")
        listed = (await profile.installs(platform.context, platform.key, user_id, 10, None)).installs
        assert [one.attestation for one in listed] == ["none", None]
        told = await explain.explain(platform.context, platform.key, phone.install_id, None)
        assert told.link["attestation"] == {"level": "none", "kind": "play_classic", "reason": "stale"}
        told = await explain.explain(platform.context, platform.key, plain.install_id, None)
        assert "attestation" not in told.link

    story(tell)


def test_an_erased_person_leaves_no_proof(story):
    async def tell(platform):
        user_id = (await linked(platform, await platform.register(), "anna", attested())).id
        receipt = await erase.erase(platform.context, platform.key, user_id, dry_run=False)
        assert receipt.deleted["used proofs"] == 2
        assert await rows(platform) == []

    story(tell)


@pytest.mark.parametrize(
    "members",
    [
        {"level": ""},
        {"level": "APP_ATTEST"},
        {"level": "none", "kind": "a b"},
        {"level": "tee", "challenge_digest": CHALLENGE},
        {"level": "tee", "proof_digest": PROOF},
        {"level": "tee", "challenge_digest": CHALLENGE.upper(), "proof_digest": PROOF},
        {"level": "tee", "challenge_digest": CHALLENGE + "\n", "proof_digest": PROOF},
    ],
)
def test_what_is_no_attestation_is_refused_as_the_body_is_read(members):
    with pytest.raises(msgspec.ValidationError):
        wire.convert({"external_id": "anna", "attestation": members}, wire.Link)


def test_the_command_line_tells_the_level(tmp_path):
    data = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", str(data)]).exit_code == 0

    async def fill():
        async with InProcess(data) as platform:
            phone = await platform.register()
            await linked(platform, phone, "anna", attested())
            return phone.install_id

    told = CliRunner().invoke(program, ["explain", asyncio.run(fill()), "--data", str(data)])
    assert "When it was linked, its device proved: app_attest." in told.stdout


@pytest.mark.parametrize("dry_run", [True, False])
def test_whether_a_link_is_there_is_answered_without_computing_anything(story, monkeypatch, dry_run):
    async def tell(platform):
        phone, other = await platform.register(), await platform.register()
        said = await linked(platform, phone, "anna", attested())
        question = wire.Link("anna", repeat_only=True)

        async def ask(install):
            return await link.link(
                platform.context, platform.key, install.install_id, question, dry_run=dry_run, same=None
            )

        monkeypatch.setattr("unbroken.flow.link.compute_due", None)
        monkeypatch.setattr("unbroken.flow.link.look", None)
        before = await everything(platform)
        told = await ask(phone)
        assert (told.id, told.link_id, told.is_repeat) == (said.id, said.link_id, dry_run)
        with pytest.raises(NotFound, match="not linked to this account"):
            await ask(other)
        assert await everything(platform) == before

    story(tell)
