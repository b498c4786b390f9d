from __future__ import annotations

import pytest

from unbroken.backend.request import request_of


def scope(path="/install", root_path="", headers=(), **more):
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    base = {"type": "http", "method": "POST", "path": path, "root_path": root_path, "headers": encoded}
    return base | {"query_string": b"", "client": ("192.0.2.1", 5)} | more


@pytest.mark.parametrize(
    ("path", "root_path", "below"),
    [
        ("/install", "", "/install"),
        ("/linking/install", "/linking", "/install"),
        ("/linking/install", "/linking/", "/install"),
        ("/install", "/linking", "/install"),
        ("/linkinginstall", "/linking", "/linkinginstall"),
        ("/linking/linking/install", "/linking", "/linking/install"),
        ("/linking", "/linking", "/linking"),
    ],
)
def test_the_path_is_told_below_the_mount_whether_or_not_the_host_cut_it(path, root_path, below):
    assert request_of(scope(path, root_path)).path == below


@pytest.mark.parametrize(
    ("path", "raw_path", "below"),
    [
        ("/install/", b"/linking/install", "/install"),
        ("/install/", b"/linking/install/", "/install/"),
        ("/install", b"/linking/install", "/install"),
        ("/", b"/linking", ""),
        ("/install/", None, "/install/"),
    ],
)
def test_a_slash_that_the_host_added_is_taken_off_and_one_that_was_sent_is_not(path, raw_path, below):
    assert request_of(scope(path, raw_path=raw_path)).path == below


@pytest.mark.parametrize(
    ("sent", "cookies"),
    [
        (["session=a"], {"session": "a"}),
        (["session=a; theme=dark"], {"session": "a", "theme": "dark"}),
        (["session=a", "theme=dark"], {"session": "a", "theme": "dark"}),
        (["session=a; session=b"], {}),
        (["session=a", "session=b; theme=dark"], {"theme": "dark"}),
        (["session=a; session=a"], {"session": "a"}),
        (["session=a=b"], {"session": "a=b"}),
        (["session"], {}),
        ([" session = a "], {"session": "a"}),
        (["session=a; \t session\t=\ta"], {"session": "a"}),
        (["session=a; \xa0session=b"], {"session": "a", "\xa0session": "b"}),
        (["\x85__Host-session=b"], {"\x85__Host-session": "b"}),
        (["session\x1f=b"], {"session\x1f": "b"}),
        ([], {}),
    ],
)
def test_a_cookie_with_two_values_is_absent(sent, cookies):
    assert request_of(scope(headers=[("cookie", value) for value in sent])).cookies == cookies


def test_a_header_sent_twice_is_joined_so_that_it_equals_neither():
    headers = [("Authorization", "Bearer a"), ("authorization", "Bearer b")]
    assert request_of(scope(headers=headers)).headers == {"authorization": "Bearer a, Bearer b"}


def test_every_value_of_a_parameter_is_told():
    assert request_of(scope(query_string=b"a=1&a=2&b=")).query == {"a": ["1", "2"], "b": [""]}


def test_nothing_that_may_hold_a_session_is_shown():
    request = request_of(scope(headers=[("cookie", "session=s3cret")], query_string=b"t=s3cret"))
    assert "s3cret" not in repr(request)
    assert request.client == ("192.0.2.1", 5)


def test_an_unknown_peer_is_none():
    assert request_of(scope(client=None)).client is None
