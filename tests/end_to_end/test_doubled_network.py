"""The real SDK and the real kit on a network that doubles every request and drops a tenth of the replies.

Two people live the same days, one on a good network. What the platform holds of them in the end is the same.
"""

from __future__ import annotations

from contextlib import ExitStack

import httpx
import pytest

from unbroken.backend import Options, Platform
from unbroken.backend.retry import Retry
from unbroken.randomness import SeededRandomness
from unbroken.testing.journey import CAFE, HOME, OFFICE, Journey
from unbroken.testing.lab import Lab
from unbroken.testing.network import GOOD, Conditions, Fate, Network
from unbroken.testing.platform import story_of
from unbroken.testing.scenarios import expect

DOUBLED = Conditions(reply_lost=0.1, repeated=0.9)
TRIES = 50
WITHOUT_PAUSE = Retry(tries_max=TRIES, pause_first_s=0.0)


@pytest.fixture
def lab(tmp_path):
    with Lab(seed=14, directory=tmp_path, policies={"link_ticket": "required"}) as lab:
        yield lab


@pytest.fixture
def open_kit(lab):
    """The kit of a customer's server on such a network."""
    with ExitStack() as opened:

        def open_kit(conditions):
            carrier = opened.enter_context(httpx.HTTPTransport())
            network = Network(lab.clock, SeededRandomness(14), carrier, conditions)
            options = Options(transport=network, retry=WITHOUT_PAUSE)
            kit = opened.enter_context(Platform(lab.app.base_url, api_key=lab.app.api_key, options=options))
            return kit, network

        yield open_kit


def login(phone, person, kit, conditions):
    def link(person, request):
        return kit.link(request.install_id, external_id=person.external_id, link_ticket=request.ticket) is not None

    phone.go_online(conditions)
    return phone.login(person, linker=link, tries=TRIES)


def live(lab, person, phones, kit, conditions):
    """What one of them does; between two steps the other one does the same, at the same time."""
    old, new, tablet = phones
    login(old, person, kit, conditions).start(Journey(HOME).stay(60).walk(CAFE).stay(30), upload_every_s=300)
    yield
    old.upload_all()
    login(new, person, kit, conditions).start(Journey(CAFE).ride(OFFICE).stay(90), upload_every_s=300)
    old.start(Journey(CAFE).walk(HOME).stay(30), upload_every_s=300)
    yield
    new.upload_all()
    login(tablet, person, kit, conditions)
    code = kit.create_auth_code(person.external_id)
    assert code.code
    yield
    new.logout()
    tablet.close_app()
    yield


def test_two_people_end_alike_though_every_request_of_one_is_sent_twice_and_a_tenth_of_the_replies_is_lost(
    lab, open_kit
):
    lucky, unlucky = lab.person("lucky"), lab.person("unlucky")
    kit, _ = open_kit(GOOD)
    unlucky_kit, network = open_kit(DOUBLED)
    lives = []
    for person, its_kit, conditions in ((lucky, kit, GOOD), (unlucky, unlucky_kit, DOUBLED)):
        phones = [lab.phone(f"{person.name}: {name}") for name in ("old", "new")]
        phones.append(lab.tablet(f"{person.name}: tablet"))
        lives.append((phones, live(lab, person, phones, its_kit, conditions)))
    for hours in (2, 3, 4, 1):
        for _, life in lives:
            next(life)
        lab.wait(hours=hours)
    fates = sum((phone.network.fates for phone in lives[1][0]), network.fates)
    assert min(fates[Fate.REPEATED], fates[Fate.REPLY_LOST]) > 0
    assert set(fates) == {Fate.REPEATED, Fate.REPLY_LOST}
    assert end(lab, kit, unlucky) == end(lab, kit, lucky)


def end(lab, kit, person):
    """What the platform holds of a person, without ids.

    How much the old phone recorded in vain is not of it: it stops when it hears of the new one, and hears by uploading.
    """
    user_id, outcomes = lab.user_id(person), expect.outcomes(lab, person)
    timeline = lab.timeline(person)
    assert len(timeline) > 4
    return (
        story_of(timeline),
        expect.states(lab, person),
        (set(outcomes), outcomes["accepted"]),
        [fact.kind for fact in kit.users.ledger(user_id)],
        [len(install["activations"]) for install in lab.installs(person)],
    )
