"""Every kind of proof, from a phone of the attestation lab to a real platform: it links once, and nothing else."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import SimpleNamespace

import httpx
import pytest
from tests.unit.backend.frameworks import FRAMEWORKS, serving

from unbroken.backend import Options, Platform
from unbroken.backend.attestation import Binding
from unbroken.clock import ManualClock
from unbroken.sdk import InitError
from unbroken.testing.attestation import AttestationLab
from unbroken.testing.lab import Lab

NOW_MS = 1_795_000_000_000
OTHER_APP = "cd" * 12
KINDS = {
    "play_classic": "play_strong",
    "play_standard": "play_strong",
    "app_attest": "app_attest",
    "app_attest_assertion": "app_attest",
    "android_key": "tee",
}


@pytest.fixture(scope="module")
def clock():
    return ManualClock(NOW_MS)


@pytest.fixture(scope="module")
def lab():
    with Lab(seed=23) as lab:
        yield lab


@pytest.fixture(scope="module")
def authorities(clock):
    with AttestationLab(clock) as authorities:
        yield authorities


@pytest.fixture(scope="module", params=FRAMEWORKS)
def servers(request, lab, authorities, clock):
    """The customer's server, and one of another app; both would link, and enforce proofs."""
    with ExitStack() as opened:

        def server(app_id):
            options = Options(headers=lambda: {"Lab-Time": str(lab.now_ms)}, clock=clock)
            here = serving(
                request.param,
                lab.app.base_url,
                lambda request: request.headers.get("x-session") or None,
                api_key=lab.app.api_key,
                options=options,
                limit=None,
                attestation=authorities.policy(),
                app_id=app_id,
            )
            return opened.enter_context(httpx.Client(base_url=opened.enter_context(here), trust_env=False, timeout=30))

        yield SimpleNamespace(own=server(lab.app.app_id), of_another_app=server(OTHER_APP), framework=request.param)


class Install:
    """An install that wants to be linked, on a phone that can prove it."""

    def __init__(self, lab, authorities, server, kind):
        self._lab, self._server = lab, server
        self._phone = authorities.iphone() if kind.startswith("app") else authorities.android()
        self._make = getattr(self._phone, kind)
        self._kind = kind
        asked = []
        with pytest.raises(InitError):
            lab.phone().login(lab.person(f"somebody {kind}"), linker=lambda _, request: asked.append(request))
        (self.request,) = asked
        self.install_id = self.request.install_id

    def challenge(self, account):
        reply = self._server.get("/linking/challenge", params={"install_id": self.install_id}, headers=as_(account))
        return reply.raise_for_status().json()["challenge"]

    def proof(self, account):
        """Made as an app makes it; of a key that signs, once it was attested."""
        if self._kind == "app_attest_assertion":
            first = self.challenge(account)
            self.link(self._server, account, self._phone.app_attest(self._binding(first)) | {"challenge": first}, OTHER)
        challenge = self.challenge(account)
        return self._make(self._binding(challenge)) | {"challenge": challenge}

    def _binding(self, challenge):
        return Binding(self._lab.app.app_id, self.install_id, b"", base64.b64decode(challenge))

    def link(self, server, account, proof, ticket=None):
        ticket = ticket or self.request.ticket
        body = {"install_id": self.install_id, "link_ticket": ticket, "attestation": proof}
        return server.post("/linking/install", json=body, headers=as_(account))


OTHER = "unb_tick_of_nobody"
"""Attests the key and links nothing."""


def as_(account):
    return {"X-Session": account}


def refused(reply):
    return (reply.status_code, reply.json().get("errorCode")) == (403, "ATTESTATION_REFUSED")


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_links_its_install_to_its_account_and_nothing_else(lab, authorities, servers, clock, kind):
    account = f"{kind} {servers.framework}"
    mine, other = (Install(lab, authorities, servers.own, kind) for _ in range(2))
    proof = mine.proof(account)
    assert refused(other.link(servers.own, account, proof))
    assert refused(mine.link(servers.own, f"{account} of another", proof))
    assert refused(mine.link(servers.of_another_app, account, proof))
    late = mine.proof(account)
    clock.advance_to(clock.now_ms() + 121_000)
    assert refused(mine.link(servers.own, account, late))
    proof = mine.proof(account)
    linked = mine.link(servers.own, account, proof)
    assert linked.status_code == 200, linked.text
    assert mine.link(servers.own, account, proof).json() == linked.json()
    assert refused(other.link(servers.own, account, proof))
    with Platform(lab.app.base_url, api_key=lab.app.api_key) as kit:
        (install,) = kit.users.installs(linked.json()["user_id"])
        assert (install.install_id, install.attestation) == (mine.install_id, KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
def test_a_proof_that_is_sent_many_times_at_once_links_once(lab, authorities, servers, kind):
    account = f"{kind} {servers.framework} at once"
    mine = Install(lab, authorities, servers.own, kind)
    proof = mine.proof(account)
    with ThreadPoolExecutor(6) as threads:
        replies = list(threads.map(lambda _: mine.link(servers.own, account, proof), range(6)))
    linked = [reply.json() for reply in replies if reply.status_code == 200]
    assert linked
    assert all(reply == linked[0] for reply in linked)
    assert all(refused(reply) for reply in replies if reply.status_code != 200)
    assert mine.link(servers.own, account, proof).json() == linked[0]
    with Platform(lab.app.base_url, api_key=lab.app.api_key) as kit:
        facts = list(kit.users.ledger(linked[0]["user_id"]))
    assert [fact.kind for fact in facts].count("linked") == 1


def test_a_rooted_phone_and_a_changed_app_are_not_linked(lab, authorities, servers):
    for phone in (authorities.android(is_rooted=True), authorities.android(is_repackaged=True)):
        install = Install(lab, authorities, servers.own, "android_key")
        install._make = phone.android_key
        assert refused(install.link(servers.own, "mallory", install.proof("mallory")))
