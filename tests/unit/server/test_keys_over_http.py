"""What callers are told of keys that are to end, and what whoever finds a secret can do about it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import sysconfig
from dataclasses import replace
from itertools import chain, count
from pathlib import Path

import pytest

from unbroken.clock import ManualClock
from unbroken.credentials import PATTERN, SECRET_BYTES, Kind, Signed, read_opaque, write_opaque
from unbroken.domain.app import Scope
from unbroken.domain.ids import AppId, InstallId
from unbroken.flow import keys
from unbroken.flow.rotate import rotate_key
from unbroken.randomness import SeededRandomness
from unbroken.server.key_watch import KeyWatch
from unbroken.server.metrics import Metrics

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
HOW_TO = Path(__file__).parents[3] / "docs/how-to/rotate-a-key.md"
FIND = "/v3/users?external_id=nobody"


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


# Rotation


def test_a_key_with_a_successor_is_told_when_it_ends_whatever_is_answered(world):
    async def step(opened):
        app, api = await opened.app(), opened.platform
        context = replace(opened.context, wall=ManualClock(opened.context.wall.now_ms() // 1000 * 1000))
        old = await keys.create_key(context, app.app_id, "old", [Scope.USER_LINK, Scope.USER_READ])
        assert "deprecation" not in (await api.send("GET", FIND, b"", bearer(old.api_key))).headers
        new = await rotate_key(context, old.key_id, overlap_days=1)
        minted = await api.send("POST", "/users/auth-code", b'{"external_id":"anna"}', bearer(old.api_key))
        refused = await api.send("GET", FIND, b"", bearer(old.api_key))
        assert (minted.status, refused.status) == (200, 404)
        now_s = context.wall.now_ms() // 1000
        for reply in (minted, refused):
            assert reply.headers["deprecation"] == f"@{now_s}"
            assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", reply.headers["sunset"])
        assert "deprecation" not in (await api.send("GET", FIND, b"", bearer(new.api_key))).headers

    world(step)


def test_a_key_is_warned_of_two_weeks_and_one_week_before_its_end(world, log_output):
    async def step(opened):
        wall, metrics = ManualClock(NOW_MS), Metrics()
        context = replace(opened.context, wall=wall)
        app = await opened.app()
        key = await keys.create_key(context, app.app_id, "its", [Scope.USER_READ], 15)
        watch = KeyWatch(context, metrics)
        told = []
        for day in range(15):
            wall.advance_to(NOW_MS + day * DAY_MS)
            await watch.look()
            await watch.look()
            lines = [json.loads(line) for line in log_output.getvalue().splitlines()]
            told.append(len([line for line in lines if line.get("code") == "KEY_ENDS"]))
            page = metrics.page().decode()
            assert f"unbroken_keys_ending_in_14_days {float(day >= 1)}" in page
            assert f"unbroken_keys_ending_in_7_days {float(day >= 8)}" in page
        assert told == [0] + [1] * 7 + [2] * 7
        assert lines[-1]["key_id"] == key.key_id.hex()

    world(step)


# Leaks


def test_whoever_tells_of_a_leak_learns_nothing_and_a_key_is_dead_at_once(world, log_output):
    async def step(opened):
        app, api = await opened.app(), opened.platform
        key = await opened.key(AppId(app.app_id))
        bodies = ([key], [key], ["nonsense", app.app_secret], [])
        replies = []
        for tokens in bodies:
            assert (await api.send("GET", FIND, b"", bearer(key))).status == (404 if not replies else 401)
            replies.append(await api.send("POST", "/security/leaked-tokens", json.dumps({"tokens": tokens}).encode()))
        seen = {(one.status, one.body, tuple(sorted(set(one.headers) - {"x-request-id"}))) for one in replies}
        assert len(seen) == 1
        assert replies[0].status == 202
        assert 'unbroken_alarms_total{what="TOKEN_LEAKED"} 2.0' in api.metrics.page().decode()

    world(step)
    assert log_output.getvalue().count("TOKEN_LEAKED") == 2
    assert "unb_key_" not in log_output.getvalue()


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"tokens": 1}',
        b'{"tokens": ["' + b"x" * 600 + b'"]}',
        b"[]",
        json.dumps({"tokens": ["x"] * 11}).encode(),
    ],
    ids=["nothing", "a number", "a long one", "a list", "eleven"],
)
def test_a_report_of_another_form_is_refused(world, body):
    assert world(lambda opened: opened.platform.send("POST", "/security/leaked-tokens", body)).status == 400


def test_a_large_report_is_refused_before_it_is_read(world):
    body = json.dumps({"tokens": ["x" * 500] * 100, "more": "x" * 70_000}).encode()
    assert world(lambda opened: opened.platform.send("POST", "/security/leaked-tokens", body)).code == "TOO_LARGE"


# Scanners

FILES = {
    "py": 'KEY = "{}"', "env": "UNBROKEN_API_KEY={}", "json": '{{"key": "{}"}}', "yaml": "key: {}",
    "toml": 'key = "{}"', "js": "const key = '{}';", "ts": "key: `{}`", "html": '<meta content="{}">',
    "xml": "<key>{}</key>", "sh": "curl -H 'Authorization: Bearer {}' x", "md": "the key `{}`, as it is",
    "csv": "a,{},b", "ini": "key={} ; mine", "sql": "VALUES ('{}')", "log": "at=1 key={} ok",
    "java": 'String k = "{}";', "kt": 'val k = "{}"', "swift": 'let k = "{}"', "tf": 'key = "{}"',
    "txt": "It is {}. Keep it",
}  # fmt: skip


def some_secret(vault, chance, number):
    kind = list(Kind)[number % len(Kind)]
    subject = InstallId(chance.secret(12))
    if kind in {Kind.USER_TOKEN, Kind.LINK_TICKET}:
        from_now = Signed(AppId(chance.secret(12)), subject, NOW_MS + number)
        return vault.sign(kind, from_now)
    return write_opaque(kind, subject, chance.secret(SECRET_BYTES))


def test_a_thousand_planted_secrets_in_twenty_kinds_of_files_are_all_found(world):
    async def step(opened):
        chance, pattern = SeededRandomness(7), re.compile(PATTERN)
        assert len(FILES) == 20
        for number in range(1_000):
            secret = some_secret(opened.context.vault, chance, number)
            text = list(FILES.values())[number % len(FILES)].format(secret)
            assert [found.group() for found in pattern.finditer(text)] == [secret]

    world(step)


def test_nothing_in_the_standard_library_looks_like_a_secret_of_ours():
    library, pattern = Path(sysconfig.get_path("stdlib")), re.compile(PATTERN)
    sources = [path for path in library.rglob("*.py") if "site-packages" not in path.parts]
    assert len(sources) > 500
    assert [path for path in sources if pattern.search(path.read_text(encoding="utf-8", errors="replace"))] == []


def texts_here():
    """Every text of this Python and of what is installed beside it."""
    places = {Path(sys.prefix), Path(sys.base_prefix)}
    for path in sorted(path for place in places for path in place.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if content and b"\0" not in content:
                yield content


def texts_made_up():
    """What looks most like a secret: chance, as base64url and as hexadecimal digits, in words that begin like one."""
    for number in count():
        chance = hashlib.shake_256(number.to_bytes(8, "big")).digest(1 << 20)
        yield b"unb_key_" + base64.urlsafe_b64encode(chance)
        yield b" unb_".join(chance.hex().encode()[at : at + 90] for at in range(0, 1 << 21, 90))


def secrets_in(text, pattern):
    """As scanners look: for the keyword of their rule, and there for the whole."""
    at = text.find(b"unb_")
    while at >= 0:
        if found := pattern.match(text, at):
            yield found.group()
        at = text.find(b"unb_", at + 1)


@pytest.mark.prove
def test_nothing_in_a_gigabyte_of_text_looks_like_a_secret_of_ours_but_the_one_that_was_put_there():
    pattern, planted = re.compile(PATTERN.encode()), write_opaque(Kind.API_KEY, b"k" * 12, b"s" * SECRET_BYTES).encode()
    found, sizes = [], {"files": 0, "made up": 0}
    texts = chain((("files", text) for text in texts_here()), (("made up", text) for text in texts_made_up()))
    for source, text in texts:
        found += secrets_in(text, pattern)
        sizes[source] += len(text)
        if sum(sizes.values()) > 1_000_000_000:
            break
    print(f"\nnothing like a secret in {sizes} bytes of text")
    assert [*found, *secrets_in(b"x = '" + planted + b"'", pattern)] == [planted]


def test_the_rules_for_scanners_are_those_of_the_code():
    assert HOW_TO.read_text(encoding="utf-8").count(PATTERN) == 2
    opaque = write_opaque(Kind.API_KEY, b"k" * 12, b"s" * SECRET_BYTES)
    assert read_opaque(re.search(PATTERN, f'"{opaque}"').group()) is not None
