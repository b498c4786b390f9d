"""What an upload is refused for before it is acknowledged, and that a read needs no write."""

from __future__ import annotations

import asyncio

import pytest

from unbroken.domain.app import Scope
from unbroken.domain.errors import InvalidRequest, Unauthenticated
from unbroken.domain.ids import InstallId
from unbroken.flow import keys
from unbroken.flow.authenticate import InstallCaller, KeyCaller, by_bearer
from unbroken.flow.ingest import ingest
from unbroken.store.contract import StoreUnavailable
from unbroken.testing.in_process import PAYLOAD_ID, START_MS, InProcess

LOCATION = b'{"kind":"location","t":%d,"lat":1,"lon":1%s}'


def upload(member: bytes = b"") -> bytes:
    item = LOCATION % (START_MS + 1, member)
    return b'{"sent_at":%d,"payloads":[{"payload_id":"%s","items":[%s]}]}' % (START_MS + 2, PAYLOAD_ID.encode(), item)


async def send(platform, body: bytes, caller=None):
    caller = caller or (await platform.register()).caller
    return await ingest(platform.context, caller, body, zstd_body=None)


def in_platform(tmp_path, story):
    async def whole():
        async with InProcess(tmp_path) as platform:
            return await story(platform)

    return asyncio.run(whole())


def test_a_member_that_nobody_knows_must_be_utf8_too(tmp_path):
    async def story(platform):
        told = await send(platform, upload(',"note":"ä"'.encode()))
        with pytest.raises(InvalidRequest, match="UTF-8"):
            await send(platform, upload(b',"note":"\xff\xfe"'))
        return told

    assert in_platform(tmp_path, story).results[0].invalid == []


def test_an_install_that_the_database_does_not_know_is_refused_not_lost(tmp_path):
    async def story(platform):
        phone = await platform.register()
        stranger = InstallCaller(platform.app.app_id, InstallId(b"of a backup!"), phone.caller.standing)
        with pytest.raises(Unauthenticated, match="does not know"):
            await send(platform, upload(), stranger)
        return await platform.context.log.behind()

    assert in_platform(tmp_path, story) == []


def test_a_key_reads_also_where_nothing_can_be_written(tmp_path, monkeypatch):
    async def full(_):
        raise StoreUnavailable("The disk is full.")

    async def story(platform):
        key = await keys.create_key(platform.context, platform.app.app_id, "other", [Scope.USER_READ])
        monkeypatch.setattr(platform.context.store, "write", full)
        return await by_bearer(platform.context, key.api_key)

    assert isinstance(in_platform(tmp_path, story), KeyCaller)
