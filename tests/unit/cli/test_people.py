"""What `unbroken explain` tells an operator at night: the other phone, since when, its items, and its app."""

from __future__ import annotations

import asyncio
import json

from typer.testing import CliRunner

from unbroken import wire
from unbroken.cli import program
from unbroken.clock import SystemClock
from unbroken.flow import administer, tokens
from unbroken.flow.authenticate import CredentialCaller
from unbroken.testing.in_process import InProcess

HOUR_MS = 3_600_000


def said(data, *words):
    told = CliRunner().invoke(program, [*words, "--data", str(data)])
    assert told.exit_code == 0, told.stderr
    return told.stdout


def filled(tmp_path, story):
    data = tmp_path / "data"
    assert CliRunner().invoke(program, ["app", "create", "first", "--data", str(data)]).exit_code == 0

    async def whole():
        async with InProcess(data, start_ms=SystemClock().now_ms() - 3 * HOUR_MS) as platform:
            return await story(platform)

    return data, asyncio.run(whole())


def fix(at_ms):
    return {"kind": "location", "t": at_ms, "lat": 51.0, "lon": 4.0, "acc": 5}


async def a_tablet_beside_a_phone(platform):
    phone, tablet = await platform.register(), await platform.register(wire.Device("android", screen_inches=7.6))
    await platform.link(phone, "anna")
    await platform.link(tablet, "anna")
    return tablet


async def an_undone_link(platform):
    phone = await platform.register()
    await platform.undo((await platform.link(phone, "anna")).link_id)
    return phone


async def a_reinstall(platform):
    phones = []
    for _ in range(2):
        platform.clock.advance_to(platform.clock.now_ms() + HOUR_MS)
        phones.append(await platform.register())
        await platform.link(phones[-1], "anna")
    await platform.upload(phones[1], [fix(platform.clock.now_ms())])
    return phones


def test_explain_tells_since_when_and_which_one_is_the_other(tmp_path):
    data, (old, new) = filled(tmp_path, a_reinstall)
    told = said(data, "explain", old.install_id)
    inputs = json.loads(said(data, "explain", old.install_id, "--json"))["inputs"]
    assert f"So it has been since {wire.iso(inputs['since'])}." in told
    assert (
        f"The other one is the phone {new.install_id}, installed at {wire.iso(inputs['other']['registered_at'])}"
        in told
    )


def test_explain_tells_by_which_rule_a_device_is_a_tablet(tmp_path):
    data, tablet = filled(tmp_path, a_tablet_beside_a_phone)
    assert "  Android of 7.6 inches is a tablet: from 7.0 inches on it is one." in said(
        data, "explain", tablet.install_id
    )


def test_explain_tells_when_a_link_was_undone(tmp_path):
    data, phone = filled(tmp_path, an_undone_link)
    told = said(data, "explain", phone.install_id)
    unlinked_at = json.loads(said(data, "explain", phone.install_id, "--json"))["inputs"]["unlinked_at"]
    assert f"  Its link was undone at {wire.iso(unlinked_at)}." in told


def test_explain_tells_that_nothing_of_an_active_phone_counted(tmp_path):
    async def story(platform):
        phone = await platform.register()
        await platform.link(phone, "anna")
        now_ms = platform.clock.now_ms()
        await platform.upload(phone, [fix(now_ms + HOUR_MS), fix(now_ms + 2 * HOUR_MS)], sent_at=now_ms)
        await platform.settle()
        return phone

    data, phone = filled(tmp_path, story)
    told = said(data, "explain", phone.install_id)
    assert told.startswith("This phone is the active one")
    assert "Its items of the last 7 days: 2 bad_clock." in told


def test_explain_begins_with_an_app_that_is_disabled(tmp_path):
    async def story(platform):
        phone = await platform.register()
        await administer.set_app_disabled(platform.context, platform.app.app_id, disabled=True)
        return platform.app.app_id.hex(), phone

    data, (app_id, phone) = filled(tmp_path, story)
    told = " ".join(said(data, "explain", phone.install_id).split())
    assert told.startswith("The app app is disabled: nothing of its phones is taken, and none is linked:")
    assert f"unbroken app enable {app_id}" in told
    assert "Its items of the last 7 days: none." in told


def test_a_person_is_found_by_the_account_in_whichever_app(tmp_path):
    async def story(platform):
        phone = await platform.register()
        return phone, await platform.link(phone, "anna@example.com")

    data, (phone, linked) = filled(tmp_path, story)
    (found,) = json.loads(said(data, "user", "find", "anna@example.com", "--json"))["users"]
    assert (found["id"], found["installs"][0]["install_id"]) == (linked.id, phone.install_id)
    assert phone.install_id in said(data, "user", "find", "anna@example.com")
    nobody = CliRunner().invoke(program, ["user", "find", "bert", "--data", str(data)])
    assert (nobody.exit_code, nobody.stdout) == (1, "")
    assert "No app knows a person by the external id 'bert'." in " ".join(nobody.stderr.split())


def test_an_install_that_is_gone_is_explained_without_its_items(tmp_path):
    async def story(platform):
        phone = await platform.register()
        await tokens.reset(platform.context, CredentialCaller(phone.credential))
        return phone

    data, phone = filled(tmp_path, story)
    assert "items of the last" not in said(data, "explain", phone.install_id)
