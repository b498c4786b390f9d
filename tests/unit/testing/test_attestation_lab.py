"""The attestation lab as a sample app uses it: `enforce` is tested without a phone, and without a network."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from unbroken.backend.attestation import Binding, Level, Mode, read_evidence

pytest_plugins = ["pytester"]

SAMPLE_APP = '''
import socket

import pytest

from unbroken.backend.attestation import Binding, read_evidence

CHALLENGE = bytes(range(32))
BINDING = Binding("a" * 24, "b" * 24, b"", CHALLENGE)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    connect = socket.socket.connect

    def on_this_machine(self, address):
        assert address[0] == "127.0.0.1", f"a test asked {address} for something"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", on_this_machine)


def links(policy, evidence):
    """What the app's server does with a proof."""
    return policy.judge(read_evidence(evidence), BINDING, policy_clock()).is_allowed


def policy_clock():
    from unbroken.clock import SystemClock

    return SystemClock().now_ms()


@pytest.mark.parametrize("kind", ["android_key", "play_classic", "play_standard"])
@pytest.mark.parametrize("phone", [{}, {"is_rooted": True}, {"is_repackaged": True}])
def test_only_a_genuine_android_phone_links(attestation_lab, kind, phone):
    evidence = getattr(attestation_lab.android(**phone), kind)(BINDING)
    assert links(attestation_lab.policy(), evidence) == (phone == {})


def test_only_the_app_itself_links_on_an_iphone(attestation_lab):
    phone, policy = attestation_lab.iphone(), attestation_lab.policy()
    assert links(policy, phone.app_attest(BINDING))
    assert links(policy, phone.app_attest_assertion(BINDING))
    assert not links(policy, attestation_lab.iphone(app_id="A1B2C3D4E5.com.example.clone").app_attest(BINDING))


def test_nothing_sent_is_not_linked(attestation_lab):
    assert not attestation_lab.policy().judge(None, BINDING, policy_clock()).is_allowed
'''


def test_the_enforce_suite_of_a_sample_app_runs_without_a_phone_or_a_network(pytester):
    pytester.makepyfile(SAMPLE_APP)
    pytester.runpytest_subprocess().assert_outcomes(passed=11)


def test_the_plugin_loads_no_lab_before_it_is_asked_for():
    code = "import sys, unbroken.testing.plugin; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_labs_are_worth_nothing_to_each_other(attestation_lab):
    from unbroken.testing.attestation import AttestationLab

    binding = Binding("a" * 24, "b" * 24, b"", bytes(32))
    with AttestationLab() as other:
        for kind in ("android_key", "play_classic", "play_standard"):
            evidence = read_evidence(getattr(other.android(), kind)(binding))
            now_ms = attestation_lab.clock.now_ms()
            assert other.policy().judge(evidence, binding, now_ms).level is not Level.NONE
            assert not attestation_lab.policy(Mode.ENFORCE).judge(evidence, binding, now_ms).is_allowed


def test_a_closed_lab_listens_no_more(attestation_lab):
    port = int(attestation_lab.google.url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    attestation_lab.google.close()
    with pytest.raises(OSError, match=r"."):
        socket.create_connection(("127.0.0.1", port), timeout=5)
