"""Changes on purpose, ordered by an operator on the command line."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.test_people import a_reinstall, filled, said


async def a_linked_phone(platform):
    phone = await platform.register()
    return phone, await platform.link(phone, "anna")


@pytest.mark.parametrize(("whose", "back"), [("install", "active"), ("user", "enabled")])
def test_an_install_and_a_person_are_stopped_and_let_go_on(tmp_path, whose, back):
    data, (phone, link) = filled(tmp_path, a_linked_phone)
    id_text = phone.install_id if whose == "install" else link.id
    assert "A dry run: nothing was changed." in said(data, whose, "disable", id_text, "--dry-run")
    states = [json.loads(said(data, whose, wanted, id_text, "--json"))["state"] for wanted in ("disable", "enable")]
    assert states == ["disabled", back]


def test_a_link_is_undone(tmp_path):
    data, (_, link) = filled(tmp_path, a_linked_phone)
    assert f"Link {link.link_id}: undo " in said(data, "link", "undo", link.link_id)


def test_a_person_is_renamed_and_another_phone_made_the_active_one(tmp_path):
    data, (old, _) = filled(tmp_path, a_reinstall)
    user_id = json.loads(said(data, "install", "activate", old.install_id, "--json"))["user_id"]
    assert f"User {user_id} is bea; it is found by" in said(data, "user", "rename", user_id, "bea")
