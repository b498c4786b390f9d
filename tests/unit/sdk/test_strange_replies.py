"""Replies that are not the platform's (a portal, a proxy), and refusals that say less than they seem to."""

from __future__ import annotations

import pytest
from tests.unit.sdk.tls_peers import Authorities, peer

from unbroken.sdk import InitError, InitIssue, LinkUserError, LinkUserReason, MetadataError, Secret, UserCallReason

PORTAL = (200, b"<html>Welcome to our WiFi</html>", {"Content-Type": "text/html"})
MOVED = (302, b"", {"Location": "https://portal.example/"})


def strangely(platform, method, path, *answers):
    """The next requests of this call get these answers, each once."""
    waiting, handle = list(answers), platform.handle

    def answer(*request):
        if waiting and request[:2] == (method, path):
            platform.requests.append((method, path, {}))
            return waiting.pop(0)
        return handle(*request)

    platform.handle = answer


@pytest.mark.parametrize("answer", [PORTAL, MOVED])
def test_a_registration_that_a_portal_answered_keeps_the_secret_for_the_next(open_sdk, platform, answer):
    strangely(platform, "POST", "/sdk/installs", answer)
    secret = Secret("the app's secret")
    with open_sdk(secret=secret) as sdk:
        with pytest.raises(InitError):
            sdk.init()
        assert secret
        sdk.init()
        assert sdk.user_exists
    assert not secret


LOGIN_FIRST = (511, b"<html>Log in first</html>", {"Content-Type": "text/html"})
NO_ENTRY = (403, b"<html>You shall not pass</html>", {"Content-Type": "text/html"})
PROXYS_OWN = (401, b"", {"WWW-Authenticate": "Negotiate"})
JSON_PORTAL = (200, b'{"login": "https://portal.example/"}', {"Content-Type": "application/json"})


NESTED = (200, b'{"a":' * 100_000, {"Content-Type": "application/json"})
NESTED_REFUSAL = (404, b'{"a":' * 100_000, {"Content-Type": "application/json"})
of_somebody_else = pytest.mark.parametrize(
    "answer", [PORTAL, MOVED, LOGIN_FIRST, NO_ENTRY, PROXYS_OWN, JSON_PORTAL, NESTED, NESTED_REFUSAL]
)


@of_somebody_else
def test_behind_a_portal_an_install_that_was_linked_starts_as_without_a_network(open_sdk, phone, platform, answer):
    with open_sdk() as sdk:
        sdk.init()
    before, asks, platform.handle = platform.only_install(), platform.handle, lambda *_: answer
    phone.clock.advance_to(phone.clock.now_ms() + 61 * 3_600_000)  # the token is old, and still holds
    with open_sdk() as sdk:
        sdk.init()
        assert (sdk.install_id, sdk.is_user_linked, sdk.status.install_state) == (before.install_id, True, "active")
        assert sdk.request_user_access_token().token.reveal() == before.token
    platform.handle, before.state = asks, "disabled"
    with open_sdk() as sdk, pytest.raises(InitError) as caught:
        sdk.init()
    assert caught.value.issue is InitIssue.REMOTE_DISABLED


@of_somebody_else
def test_behind_a_portal_an_install_that_was_never_linked_does_not_start(open_sdk, platform, answer):
    with open_sdk(link=None) as sdk:
        sdk.init()
    platform.handle = lambda *_: answer
    with open_sdk() as sdk, pytest.raises(InitError):
        sdk.init()


def test_behind_a_portal_with_a_certificate_of_its_own_an_install_that_was_linked_starts(open_sdk, tmp_path):
    with open_sdk() as sdk:
        sdk.init()
    authorities = Authorities()
    portal = authorities.root.issue("portal.example")
    with peer(tmp_path / "portal", portal) as server:
        with open_sdk(base_url=server.url, transport=None, ssl_context=authorities.context()) as sdk:
            sdk.init()
            assert sdk.is_user_linked
        assert server.connections == 1
    assert server.application_bytes == 0


@pytest.mark.parametrize("answer", [PORTAL, MOVED])
def test_metadata_that_a_portal_answered_was_not_stored(sdk, platform, answer):
    strangely(platform, "PUT", "/sdk/metadata", answer)
    with pytest.raises(MetadataError) as caught:
        sdk.add_user_metadata_fields({"plan": "pro"})
    assert caught.value.reason is UserCallReason.UNEXPECTED_ERROR
    sdk.add_user_metadata_fields({"plan": "pro"})
    assert platform.only_install().metadata == {"plan": "pro"}


DISABLED = (403, b'{"message": "m", "errorCode": "APP_DISABLED", "ref": "r"}', {})
NOT_FOUND = (404, b"<html>nothing here</html>", {})


@pytest.mark.parametrize("answer", [PORTAL, MOVED, DISABLED, NOT_FOUND])
def test_a_farewell_that_was_not_heard_is_said_again(sdk, platform, answer):
    install = platform.only_install()
    strangely(platform, "DELETE", "/sdk/install", answer)
    assert not sdk.reset().platform_told
    assert install.state == "active"
    sdk.init()
    assert install.state == "deleted"


@pytest.mark.parametrize(
    "answer",
    [
        (401, b'{"message": "m", "errorCode": "UNAUTHENTICATED", "ref": "r"}', {}),
        (409, b'{"message": "m", "errorCode": "INSTALL_CLONED", "ref": "r"}', {}),
        (410, b'{"message": "m", "errorCode": "INSTALL_DELETED", "ref": "r"}', {}),
    ],
)
def test_a_farewell_that_nobody_can_hear_any_more_is_not_said_again(sdk, platform, answer):
    strangely(platform, "DELETE", "/sdk/install", answer)
    assert sdk.reset().platform_told
    sdk.init()
    assert platform.paths().count("DELETE /sdk/install") == 1


def test_a_farewell_that_waits_keeps_none_behind_it_waiting(sdk, platform):
    first = platform.only_install()
    strangely(platform, "DELETE", "/sdk/install", DISABLED, DISABLED, DISABLED)
    sdk.reset()
    sdk.init()
    second = platform.installs[sdk.install_id]
    assert not sdk.reset().platform_told
    assert (first.state, second.state) == ("active", "deleted")
    sdk.init()
    assert first.state == "deleted"


def test_a_code_that_is_refused_costs_no_credential_and_keeps_the_platforms_word(open_sdk, platform):
    with open_sdk(link=None) as sdk:
        sdk.init()
        before = len(platform.requests)
        with pytest.raises(LinkUserError) as caught:
            sdk.link_user("unb_code_expired")
        assert platform.paths()[before:] == ["POST /sdk/link"]
        assert caught.value.reason is LinkUserReason.SERVER_ERROR
        assert "AUTH_CODE_UNKNOWN" in caught.value.details
        assert caught.value.ref == "ref-2"
