"""The public calls, once on each shell: `Platform` and `AsyncPlatform` answer the same."""

from __future__ import annotations

import itertools
import json
import logging
import pickle
import traceback
from datetime import date
from types import SimpleNamespace

import httpx
import pytest

from unbroken.backend import (
    Activation,
    AsyncPlatform,
    Attested,
    AuthCode,
    Event,
    Fact,
    InvalidConfig,
    Link,
    Options,
    Platform,
    PlatformUnreachable,
    ReplyNotUnderstood,
    Retry,
    Trajectory,
    User,
    Waypoint,
    errors,
)
from unbroken.backend.connection import ApiKey
from unbroken.outgoing import deadline

INSTALL, USER, OTHER = "a1" * 12, "b2" * 12, "c3" * 12
API_KEY = "unb_key_0123456789abcdef0123456789abcdef"
NOW, NOW_MS = "2026-11-23T21:12:54.000+00:00", 1_795_468_374_000


# Linking


def test_link_says_the_account_and_tells_the_user(kit, fake):
    link = kit.link(INSTALL, external_id="alice", link_ticket="unb_ticket_1")
    assert link == Link(user_id=f"{7:024x}", link_id=f"{8:024x}", state="active", state_reason=None)
    assert fake.bodies == [{"external_id": "alice", "link_ticket": "unb_ticket_1"}]
    assert fake.requests[0].url.path == f"/v2/users/{INSTALL}/link"


def test_a_link_without_a_ticket_sends_none(kit, fake):
    kit.link(INSTALL, external_id="alice")
    assert fake.bodies == [{"external_id": "alice"}]


def test_a_dry_run_is_asked_for_in_the_query(kit, fake):
    tried = kit.link(INSTALL, external_id="alice", dry_run=True)
    assert fake.requests[0].url.params["dry_run"] == "true"
    assert (tried.dry_run, tried.is_repeat) == (True, False)
    assert not kit.link(INSTALL, external_id="alice").is_repeat
    assert kit.link(INSTALL, external_id="alice", dry_run=True).is_repeat


@pytest.mark.parametrize("knows_repeats", [True, False], ids=["this platform", "an older one"])
def test_a_link_is_found_where_it_is_there_and_nothing_is_linked(kit, fake, knows_repeats):
    fake.knows_repeats = knows_repeats
    assert kit.find_link(INSTALL, external_id="alice") is None
    assert fake.linked == {}
    link = kit.link(INSTALL, external_id="alice")
    found = kit.find_link(INSTALL, external_id="alice")
    assert (found.user_id, found.link_id, found.is_repeat) == (link.user_id, link.link_id, True)
    assert kit.find_link(INSTALL, external_id="bob") is None
    assert fake.linked == {INSTALL: "alice"}
    assert fake.bodies[0] == {"external_id": "alice", "repeat_only": True}


def test_what_a_device_proved_goes_along(kit, fake):
    kit.link(INSTALL, external_id="alice", attestation=Attested("none", reason="missing"))
    assert fake.bodies == [{"external_id": "alice", "attestation": {"level": "none", "reason": "missing"}}]


def test_the_refusals_of_the_table_are_raised_by_name_with_their_ref(kit, fake):
    fake.refuse_next(403, "INSTALL_LINKED_TO_OTHER_USER")
    with pytest.raises(errors.InstallLinkedToOtherUser, match="ref-1") as caught:
        kit.link(INSTALL, external_id="bob")
    assert isinstance(caught.value, errors.LinkRefused)
    assert (caught.value.status, caught.value.ref) == (403, "ref-1")


@pytest.mark.parametrize(
    "install_id", ["", "..", "../x", "a/b", "a?b", "a#b", "a%2fb", "ä", "a" * 65, "x\n", "\ud800", " "]
)
def test_what_can_be_no_install_id_never_becomes_part_of_a_path(kit, fake, install_id):
    with pytest.raises(errors.InstallNotFound):
        kit.link(install_id, external_id="alice")
    with pytest.raises(errors.InstallNotFound):
        kit.explain(install_id)
    with pytest.raises(errors.NotFound):
        kit.users.get(install_id)
    with pytest.raises(errors.NotFound):
        kit.users.event(USER, install_id)
    assert fake.requests == []


def test_an_external_id_that_is_no_unicode_is_refused_as_the_platform_would(kit, fake):
    with pytest.raises(errors.InvalidExternalId):
        kit.link(INSTALL, external_id="\ud800")
    assert fake.requests == []


def test_nobody_carries_an_external_id_that_is_no_unicode(kit, fake):
    assert kit.users.by_external_id("ali\ud800ce") is None
    assert fake.requests == []


def test_an_auth_code_is_not_shown(kit):
    code = kit.create_auth_code("alice")
    assert code == AuthCode("unb_code_1", NOW_MS)
    assert "unb_code_1" not in repr(code)


# Retries


def test_a_call_is_repeated_under_one_key_until_it_is_answered(kit, fake):
    fake.fall_silent(1)
    fake.refuse_next(503, "UNAVAILABLE")
    fake.refuse_next(429, "RATE_LIMITED")
    kit.link(INSTALL, external_id="alice")
    keys = [request.headers["Idempotency-Key"] for request in fake.requests]
    assert len(keys) == 4
    assert len(set(keys)) == 1


def test_two_calls_have_two_keys(kit, fake):
    kit.link(INSTALL, external_id="alice")
    kit.link(INSTALL, external_id="alice")
    first, second = (request.headers["Idempotency-Key"] for request in fake.requests)
    assert first != second


def test_a_lost_reply_does_not_mint_a_second_code(kit, fake):
    fake.lose_next_reply = True
    assert kit.create_auth_code("alice").code == "unb_code_1"
    assert len(fake.requests) == 2
    assert len(fake.codes) == 1


def test_a_platform_that_stays_silent_is_unreachable_after_every_try(kit, fake):
    fake.fall_silent(9)
    with pytest.raises(PlatformUnreachable, match="no network"):
        kit.link(INSTALL, external_id="alice")
    assert len(fake.requests) == 4


def test_a_refusal_that_may_pass_is_raised_when_it_does_not_pass(kit, fake):
    for _ in range(9):
        fake.refuse_next(503, "UNAVAILABLE")
    with pytest.raises(errors.Unavailable):
        kit.users.get(USER)
    assert len(fake.requests) == 4


def test_a_refusal_is_not_repeated(kit, fake):
    fake.refuse_next(403, "FORBIDDEN_SCOPE")
    with pytest.raises(errors.ForbiddenScope):
        kit.users.get(USER)
    assert len(fake.requests) == 1


def test_a_retry_after_that_is_too_long_is_told_at_once(kit, fake):
    fake.refuse_next(429, "RATE_LIMITED", {"Retry-After": "3600"})
    with pytest.raises(errors.RateLimited) as caught:
        kit.users.get(USER)
    assert caught.value.retry_after_s == 3600
    assert len(fake.requests) == 1


def test_a_retry_after_is_waited_for(open_kit, fake):
    fake.refuse_next(503, "UNAVAILABLE", {"Retry-After": "0"})
    fake.reply_to(f"/v2/users/{USER}", profile())
    assert open_kit().users.get(USER).user_id == USER


# What is no reply of the platform


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_that_does_not_reach_the_platform_is_no_platform(kit, fake, status):
    fake.answers += [httpx.Response(status, text="<h1>Bad gateway</h1>") for _ in range(4)]
    with pytest.raises(PlatformUnreachable, match=str(status)):
        kit.users.get(USER)


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (404, {"text": "<h1>Not found</h1>"}),
        (403, {"json": ["no"]}),
        (302, {"headers": {"Location": "https://elsewhere.example"}}),
        (200, {"text": "<h1>Welcome</h1>"}),
        (200, {"content": b"\xff\xfe"}),
        (200, {"content": b'{"a":' * 100_000}),
        (404, {"content": b'{"a":' * 100_000}),
        (200, {"json": {}}),
        (200, {"json": {"type": "User", "id": 7}}),
        (204, {}),
    ],
)
def test_a_reply_that_is_not_of_the_contract_is_said_to_be_none(kit, fake, status, reply):
    fake.answers.append(httpx.Response(status, **reply))
    with pytest.raises(ReplyNotUnderstood):
        kit.users.get(USER)


def test_a_time_without_an_offset_is_not_understood(kit, fake):
    fake.reply_to(f"/v2/users/{USER}", profile(created_at="2026-11-23T21:12:54"))
    with pytest.raises(ReplyNotUnderstood, match="offset"):
        kit.users.get(USER)


# Reading


def profile(**more):
    told = {"type": "User", "id": USER, "created_at": NOW, "application_id": OTHER, "install_id": INSTALL}
    return told | {"external_id": "alice", "metadata": {"tier": "gold"}, "newer": "ignored"} | more


def test_a_profile_is_read(kit, fake):
    fake.reply_to(f"/v2/users/{USER}", profile())
    assert kit.users.get(USER) == User(USER, OTHER, NOW_MS, INSTALL, "alice", {"tier": "gold"})


def test_a_user_is_found_by_an_external_id_of_any_characters(kit, fake):
    fake.reply_to("/v3/users", profile(external_id="a&b=c/ü+ "))
    assert kit.users.by_external_id("a&b=c/ü+ ").external_id == "a&b=c/ü+ "
    assert fake.requests[0].url.params["external_id"] == "a&b=c/ü+ "


def test_an_account_that_is_no_user_is_none(kit):
    assert kit.users.by_external_id("nobody") is None


def test_a_deletion_gives_a_receipt(kit, fake):
    told = {"receipt_id": OTHER, "application_id": OTHER, "erased": "user", "user": "00", "erased_at": NOW}
    fake.reply_to(f"/users/{USER}", told | {"deleted": {"payloads": 3}, "key_id": "ab", "signature": "c2ln"})
    receipt = kit.users.delete(USER)
    assert (receipt.receipt_id, receipt.erased_at_ms, receipt.deleted) == (OTHER, NOW_MS, {"payloads": 3})
    assert json.loads(receipt.signed)["signature"] == "c2ln"
    assert fake.requests[0].method == "DELETE"


def test_an_explanation_is_read_with_the_instant_it_was_asked_for(kit, fake):
    told = {"install_id": INSTALL, "at": NOW, "state": "standby", "linked": True, "rule": "join"}
    fake.reply_to(f"/v3/installs/{INSTALL}/explain", told | {"inputs": {"form": "tablet"}, "sentence": "A tablet."})
    assert kit.explain(INSTALL, NOW_MS).sentence == "A tablet."
    assert fake.requests[0].url.params["at"] == NOW


EVENTS = [
    {
        "type": "Transport",
        "event_id": "e2",
        "start": "2026-11-23T23:12:54.000+02:00",
        "end": None,
        "analysis_type": "preliminary",
        "mode": "car",
        "distance": 1200,
    },
    {
        "type": "Stationary",
        "event_id": "e1",
        "start": NOW,
        "end": NOW,
        "analysis_type": "indepth",
        "latitude": 52.5,
        "longitude": 13.4,
        "duration": 60000,
        "location": {"type": "StationaryLocation", "significance": "home"},
        "install_id": INSTALL,
        "activation_id": OTHER,
    },
]


def test_a_timeline_is_read_event_by_event(kit, fake):
    fake.reply_to(f"/v2/users/{USER}/events", EVENTS)
    car, home = kit.users.timeline(USER, date(2026, 11, 23), date(2026, 11, 24))
    assert car == Event("e2", "Transport", NOW_MS, None, 120, "preliminary", mode="car", distance_m=1200)
    assert (home.significance, home.duration_ms, home.latitude, home.install_id) == ("home", 60000, 52.5, INSTALL)
    params = fake.requests[0].url.params
    assert (params["from"], params["to"], "types" in params) == ("2026-11-23", "2026-11-24", False)


def test_a_timeline_goes_on_where_the_cursor_header_says(kit, fake):
    path = f"/v2/users/{USER}/events"
    fake.answers.append(httpx.Response(200, json=EVENTS[:1], headers={"X-Next-Cursor": "c1"}))
    fake.reply_to(path, EVENTS[1:])
    events = list(kit.users.timeline(USER, date(2026, 11, 23), date(2026, 11, 24), all_types=True))
    assert [event.event_id for event in events] == ["e2", "e1"]
    assert [request.url.params.get("cursor") for request in fake.requests] == [None, "c1"]
    assert {request.url.params["types"] for request in fake.requests} == {"all"}


def test_one_event_and_its_trajectory_are_read(kit, fake):
    path = f"/v3/users/{USER}/events/e2"
    point = {"type": "Waypoint", "latitude": 1.0, "longitude": 2.0, "timestamp": NOW, "accuracy": 5, "speed": -1}
    fake.reply_to(path, EVENTS[:1])
    fake.reply_to(f"{path}/trajectory", {"waypoints": [point], "encoded": "_ibE"})
    assert kit.users.event(USER, "e2").mode == "car"
    waypoint = Waypoint(NOW_MS, 1.0, 2.0, accuracy_m=5, speed_m_per_s=-1)
    assert kit.users.trajectory(USER, "e2") == Trajectory([waypoint], "_ibE")


def test_two_events_where_one_was_asked_for_are_not_understood(kit, fake):
    fake.reply_to(f"/v3/users/{USER}/events/e2", EVENTS)
    with pytest.raises(ReplyNotUnderstood, match="2 came"):
        kit.users.event(USER, "e2")


def test_the_last_location_is_read(kit, fake):
    fake.reply_to(f"/v2/users/{USER}/location", {"latitude": 1.0, "longitude": 2.0, "timestamp": NOW})
    assert kit.users.location(USER) == Waypoint(NOW_MS, 1.0, 2.0)


def test_installs_are_read_with_their_activations(kit, fake):
    view = {"install_id": INSTALL, "form": "phone", "device": {"platform": "ios", "idiom": "phone"}}
    view |= {"registered_at": NOW, "state": "superseded", "state_reason": "newer", "linked": True, "link_id": OTHER}
    view |= {"activations": [{"activation_id": OTHER, "from": NOW, "to": None}]}
    fake.reply_to(f"/v3/users/{USER}/installs", {"installs": [view]})
    (install,) = kit.users.installs(USER)
    assert install.activations == [Activation(OTHER, NOW_MS, None)]
    assert install.device == {"platform": "ios", "idiom": "phone"}


def test_a_ledger_is_read_page_by_page(kit, fake):
    facts = [
        {
            "fact_id": f"{n:024x}",
            "position": n,
            "at": NOW,
            "kind": "linked",
            "fields": {},
            "actor": "key",
            "reason": None,
        }
        for n in (1, 2)
    ]
    fake.answers.append(httpx.Response(200, json={"facts": facts[:1], "next_cursor": "c1"}))
    fake.reply_to(f"/v3/users/{USER}/ledger", {"facts": facts[1:]})
    told = list(kit.users.ledger(USER))
    assert told[0] == Fact(f"{1:024x}", 1, NOW_MS, "linked", {}, "key", None)
    assert [fact.position for fact in told] == [1, 2]


def test_items_are_read_with_what_became_of_them(kit, fake):
    view = {"install_id": INSTALL, "payload_id": "p", "captured_at": NOW, "received_at": NOW, "outcome": "accepted"}
    item = {"kind": "location", "t": 1, "lat": 1.0, "lon": 2.0}
    fake.reply_to(f"/v3/users/{USER}/items", {"items": [view | {"item": item}]})
    (told,) = kit.users.items(USER, NOW_MS, NOW_MS + 1000)
    assert (told.outcome, told.item) == ("accepted", item)
    assert fake.requests[0].url.params["to"] == "2026-11-23T21:12:55.000+00:00"


def test_a_list_asks_nothing_before_its_first_item_is_asked_for(fake):
    with Platform("http://127.0.0.1:1", api_key=API_KEY, options=fake.options()) as platform:
        events = platform.users.timeline(USER, date(2026, 11, 23), date(2026, 11, 23))
        assert fake.requests == []
        with pytest.raises(errors.NotFound):
            next(events)


# The key and the way


def test_the_key_is_sent_and_shown_nowhere(kit, fake, caplog):
    caplog.set_level(logging.DEBUG)
    fake.fall_silent(4)
    shown = [repr(kit), repr(vars(kit)), repr(ApiKey(API_KEY)), repr(fake.options())]
    try:
        kit.link(INSTALL, external_id="alice")
    except PlatformUnreachable as error:
        shown += traceback.TracebackException.from_exception(error, capture_locals=True).format()
        shown += [repr(error), repr(error.__context__), repr(error.__cause__)]
    assert fake.requests[0].headers["Authorization"] == f"Bearer {API_KEY}"
    assert API_KEY not in "".join([*shown, caplog.text])


@pytest.mark.parametrize("kind", [Platform, AsyncPlatform])
def test_a_set_up_that_fails_does_not_show_the_key(kind):
    with pytest.raises(InvalidConfig) as caught:
        kind("http://platform.example", api_key=API_KEY)
    frames = traceback.TracebackException.from_exception(caught.value, capture_locals=True).stack[1:]
    assert len(frames) > 1
    assert API_KEY not in "".join(traceback.StackSummary(frames).format())


def test_a_key_is_not_pickled():
    with pytest.raises(TypeError):
        pickle.dumps(ApiKey(API_KEY))


@pytest.mark.parametrize("key", ["", "two words", "line\nbreak", "ünb_key", "\x00"])
def test_what_can_be_no_key_is_refused_without_being_shown(key):
    with pytest.raises(InvalidConfig) as caught:
        ApiKey(key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "http://platform.example",
        "http://127.0.0.1.example",
        "http://10.0.0.1:8000",
        "ftp://127.0.0.1",
        "platform.example",
        "https://",
        "https://user:word@platform.example",
        "https://platform.example?x=1",
        "https://platform.example#x",
        "https://platform.example\n",
        "https://platform .example",
        "https://platform.example:http",
        "https://platform.example:99999",
        "https://platform.example:0",
        "",
    ],
)
def test_a_url_that_would_leak_the_key_is_refused(url):
    with pytest.raises(InvalidConfig):
        Platform(url, api_key=API_KEY)


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1", "https://x.example/y"])
def test_loopback_and_https_are_accepted(url):
    with Platform(url, api_key=API_KEY) as platform:
        assert platform.base_url == url


class Parts(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body without an end."""

    def __init__(self, part):
        self.part = part

    def __iter__(self):
        return itertools.repeat(self.part)

    async def __aiter__(self):
        for part in self:
            yield part


@pytest.mark.parametrize(("part", "said"), [(b" ", "in time"), (b" " * (1 << 20), "65536 KiB")], ids=["drips", "grows"])
def test_a_reply_without_an_end_is_given_up(open_kit, fake, monkeypatch, part, said):
    seconds = itertools.count() if said == "in time" else itertools.repeat(0)
    monkeypatch.setattr(deadline, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    fake.answers += [httpx.Response(200, stream=Parts(part)) for _ in range(4)]
    with pytest.raises(PlatformUnreachable, match=said):
        open_kit().link(INSTALL, external_id="alice")
    assert fake.answers == []


@pytest.mark.parametrize("encoding", ["gzip", "gzip, gzip", "br", "zstd"])
def test_a_reply_that_would_grow_is_not_unpacked(open_kit, fake, encoding):
    fake.answers += [httpx.Response(200, headers={"Content-Encoding": encoding}, stream=Parts(b" ")) for _ in range(4)]
    with pytest.raises(PlatformUnreachable, match="compressed"):
        open_kit().link(INSTALL, external_id="alice")
    assert {request.headers["Accept-Encoding"] for request in fake.requests} == {"identity"}


def test_environment_proxies_are_not_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    with Platform("https://x.example", api_key=API_KEY) as platform:
        assert platform._connection._client._mounts == {}


def test_a_transport_of_the_other_kind_is_refused():
    with pytest.raises(InvalidConfig):
        Platform("http://127.0.0.1:1", api_key=API_KEY, options=Options(transport=httpx.AsyncHTTPTransport()))
    with httpx.HTTPTransport() as blocking, pytest.raises(InvalidConfig):
        AsyncPlatform("http://127.0.0.1:1", api_key=API_KEY, options=Options(transport=blocking))


def test_further_headers_are_asked_anew_for_every_try(open_kit, fake):
    fake.fall_silent(2)
    fake.reply_to(f"/v2/users/{USER}", profile())
    ticks = iter("123")
    open_kit(headers=lambda: {"Lab-Time": next(ticks)}, retry=Retry(pause_first_s=0.0)).users.get(USER)
    assert [request.headers["Lab-Time"] for request in fake.requests] == ["1", "2", "3"]
