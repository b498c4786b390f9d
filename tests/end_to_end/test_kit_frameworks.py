"""The kit in five frameworks between a real platform and a real SDK; proofs are taken once, whatever the process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from tests.unit.backend.devices import policy, prove
from tests.unit.backend.frameworks import FRAMEWORKS, serving

from unbroken.backend import Options, Platform, errors
from unbroken.sdk import InitError
from unbroken.testing.lab import Lab


@pytest.fixture(scope="module")
def lab():
    with Lab(seed=22) as lab:
        yield lab


@pytest.fixture(scope="module", params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture(scope="module")
def open_server(lab, framework):
    """Opens one more process of the customer's server, as far as the kit can tell: they share the API key alone."""
    with ExitStack() as opened:

        def open_server(**settings):
            options = Options(headers=lambda: {"Lab-Time": str(lab.now_ms)})
            here = serving(
                framework,
                lab.app.base_url,
                lambda request: request.headers.get("x-session") or None,  # a session that is easy to read
                api_key=lab.app.api_key,
                options=options,
                limit=None,
                **settings,
            )
            return opened.enter_context(httpx.Client(base_url=opened.enter_context(here), trust_env=False, timeout=30))

        yield open_server


@pytest.fixture(scope="module")
def proving(lab, open_server):
    """Two processes that enforce proofs."""
    settings = {"attestation": policy(), "app_id": lab.app.app_id}
    return open_server(**settings), open_server(**settings)


@pytest.fixture
def kit(lab):
    with Platform(lab.app.base_url, api_key=lab.app.api_key, options=Options()) as platform:
        yield platform


def session(person):
    return {"X-Session": person.external_id}


def challenge(server, person, install_id):
    path = "/linking/challenge"
    reply = server.get(path, params={"install_id": install_id}, headers=session(person)).raise_for_status()
    return reply.json()["challenge"]


def link(server, person, request, evidence):
    body = {"install_id": request.install_id, "link_ticket": request.ticket, "attestation": evidence}
    return server.post("/linking/install", json=body, headers=session(person))


def asking(lab):
    """An install that asks to be linked: what its SDK hands to the linker."""
    asked = []

    def keep(person, request):
        asked.append(request)
        return False

    with pytest.raises(InitError):
        lab.phone().login(lab.person(f"somebody {lab.now_ms}"), linker=keep)
    return asked[0]


def test_a_phone_is_linked_to_whoever_is_signed_in(lab, framework, open_server, kit):
    server, person = open_server(), lab.person(f"Ada in {framework}")

    def ask(person, request):
        return link(server, person, request, None).is_success

    phone = lab.phone().login(person, linker=ask)
    user = kit.users.by_external_id(person.external_id)
    assert (phone.state, phone.sdk.user_id, user.install_id) == ("active", user.user_id, phone.install_id)
    code = server.get("/linking/auth-code", headers=session(person)).json()
    assert code["platform_url"] == lab.app.base_url
    assert code["auth_code"].startswith("unb_code_")


def test_a_phone_that_proves_itself_to_one_process_is_linked_by_another(lab, framework, proving, kit):
    one, other = proving
    person = lab.person(f"Bea in {framework}")

    def ask(person, request):
        said = challenge(one, person, request.install_id)
        evidence = prove(said, request.install_id, app_id=lab.app.app_id)
        return link(other, person, request, evidence).is_success

    phone = lab.phone().login(person, linker=ask)
    (install,) = kit.users.installs(phone.sdk.user_id)
    assert (install.linked, install.attestation) == (True, "app_attest")


def test_a_phone_that_proves_nothing_is_not_linked(lab, framework, proving, kit):
    person = lab.person(f"Cid in {framework}")
    with pytest.raises(InitError, match="LINK_FAILED"):
        lab.phone().login(person, linker=lambda person, request: link(proving[0], person, request, None).is_success)
    assert kit.users.by_external_id(person.external_id) is None


def test_one_proof_at_two_processes_at_once_is_one_link(lab, framework, proving, kit):
    person, request = lab.person(f"Dan in {framework}"), asking(lab)
    said = challenge(proving[0], person, request.install_id)
    evidence = prove(said, request.install_id, app_id=lab.app.app_id)
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda n: link(proving[n % 2], person, request, evidence), range(8)))
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    user_id = replies[0].json()["user_id"]
    assert [fact.kind for fact in kit.users.ledger(user_id)].count("linked") == 1


def test_a_proof_that_was_used_links_nothing_more(lab, framework, proving, kit):
    person, request = lab.person(f"Eli in {framework}"), asking(lab)
    said = challenge(proving[0], person, request.install_id)
    evidence = prove(said, request.install_id, app_id=lab.app.app_id)
    linked = link(proving[0], person, request, evidence).json()
    (install,) = kit.users.installs(linked["user_id"])
    httpx.post(
        f"{lab.app.base_url}/v3/links/{install.link_id}/undo",
        headers={"Authorization": f"Bearer {lab.app.api_key}"},
        trust_env=False,
    ).raise_for_status()
    reply = link(proving[1], person, request, evidence)
    assert (reply.status_code, reply.json()["errorCode"]) == (403, "ATTESTATION_REPLAYED")
    traces = kit.explain(request.install_id).refused_links  # one for each time it was said: a 403 is not kept
    assert {one.error_code for one in traces} == {"ATTESTATION_REPLAYED"}


@pytest.mark.counts_requests("a 429 is not kept: said again, it is held, traced and counted again")
def test_a_burst_is_held_leaves_its_trace_and_is_counted():
    with Lab(policies={"link_burst": "2"}) as lab, Platform(lab.app.base_url, api_key=lab.app.api_key) as kit:
        requests = [asking(lab) for _ in range(3)]
        for request in requests[:2]:
            kit.link(request.install_id, external_id="one account")
        with pytest.raises(errors.LinkBurst):
            kit.link(requests[2].install_id, external_id="one account")
        assert [one.row for one in kit.explain(requests[2].install_id).refused_links] == ["burst"]
        page = httpx.get(f"{lab.app.base_url}/metrics", trust_env=False).text
        assert 'unbroken_links_total{outcome="LINK_BURST"} 1.0' in page
