"""Two thieves and a phone: one read a credential on its way, the other copied all that the phone keeps."""

from __future__ import annotations

import httpx
import pytest
from tests.end_to_end.servers import alarms_of

from unbroken import install_key
from unbroken.sdk import Storage, Unsealed
from unbroken.sdk.install_key import OwnKey
from unbroken.sdk.state import StateFile
from unbroken.testing.journey import HOME, Journey
from unbroken.testing.lab import Lab


@pytest.fixture
def lab(tmp_path):
    with Lab(seed=3, directory=tmp_path) as lab:
        yield lab


def stolen(phone):
    """What lies in the phone's storage."""
    copy = phone.back_up()
    file = StateFile(Storage(copy.path, seal=Unsealed()))
    state = file.load()
    file.close()
    return state


def renewed(lab, credential, proof=None):
    headers = {"Authorization": f"Bearer {credential}"} | ({} if proof is None else {install_key.PROOF_HEADER: proof})
    return httpx.post(f"{lab.app.base_url}/sdk/tokens", headers=headers)


def test_a_credential_that_was_read_on_its_way_renews_nothing_and_the_phone_goes_on(lab):
    anna = lab.person("anna")
    phone = lab.phone("hers").login(anna)
    install_id, credential = phone.install_id, stolen(phone).credential.reveal()
    for proof in (None, "", "x" * 86):
        reply = renewed(lab, credential, proof)
        assert (reply.status_code, reply.json()["errorCode"]) == (401, "INSTALL_KEY_UNPROVEN")
        assert reply.headers["WWW-Authenticate"]
    assert alarms_of(lab.app.base_url, "INSTALL_KEY_UNPROVEN") >= 3
    lab.wait(hours=73)
    phone.travel(Journey(HOME).stay(60))
    phone.upload_all()
    assert (phone.install_id, phone.state) == (install_id, "active")
    assert alarms_of(lab.app.base_url, "INSTALL_CLONED") == 0


def test_whoever_copied_the_key_as_well_is_noticed_when_both_have_renewed(lab):
    anna = lab.person("anna")
    phone = lab.phone("hers").login(anna)
    install_id, state = phone.install_id, stolen(phone)
    credential = state.credential.reveal()
    message = install_key.message_of("POST /sdk/tokens", credential)
    proof = install_key.write(OwnKey(state.install_key).sign(message))
    assert renewed(lab, credential, proof).status_code == 200
    lab.wait(hours=73)
    phone.travel(Journey(HOME).stay(60))
    phone.open_app()
    assert phone.install_id != install_id
    assert alarms_of(lab.app.base_url, "INSTALL_CLONED") >= 1
    assert [install["state"] for install in lab.installs(anna)].count("active") == 1
