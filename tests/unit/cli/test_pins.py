"""`unbroken pin`: pins of whatever holds a key, and updates that the SDK takes."""

from __future__ import annotations

import json
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.unit.sdk.tls_peers import HOST, Authorities, peer, pem
from typer.testing import CliRunner

from unbroken.cli import program
from unbroken.cli.pins import _host_and_port
from unbroken.clock import SystemClock
from unbroken.sdk import Pins
from unbroken.sdk.pin_updates import accept_update, read_update

PEM = serialization.Encoding.PEM


@pytest.fixture(scope="module")
def authorities():
    return Authorities()


def run(*words):
    return CliRunner().invoke(program, ["pin", *map(str, words)])


def answer(*words):
    ran = run(*words, "--json")
    assert ran.exit_code == 0, ran.output
    return json.loads(ran.stdout)


def refusal(*words):
    ran = run(*words)
    assert ran.exit_code == 1, ran.output
    assert ran.stderr.count("\n") == 1
    return ran.stderr


def pins_of(*words):
    return [found["pin"] for found in answer("show", *words)["pins"]]


def test_the_pin_of_a_key_is_the_same_in_whatever_form_it_comes(authorities, tmp_path):
    holder, path = authorities.genuine, tmp_path / "key.pem"
    private, public = holder.key, holder.key.public_key()
    no_password = serialization.NoEncryption()
    request = x509.CertificateSigningRequestBuilder().subject_name(holder.certificate.subject)
    for content in [
        pem(holder.certificate),
        public.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        private.private_bytes(PEM, serialization.PrivateFormat.PKCS8, no_password),
        private.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, no_password),
        request.sign(private, hashes.SHA256()).public_bytes(PEM),
    ]:
        path.write_bytes(content)
        assert pins_of(path) == [holder.pin]
    path.write_bytes(b"a comment\n" + pem(holder.certificate) + pem(authorities.root.certificate))
    assert pins_of(path) == [holder.pin, authorities.root.pin]


def test_a_host_shows_the_chain_it_proves_itself_with(authorities, tmp_path):
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(pem(authorities.root.certificate))
    with peer(tmp_path / "tls", authorities.genuine, appended=(authorities.of_other_root,)) as server:
        shown = pins_of(f"{HOST}:{server.port}", "--ca-file", ca_file)
        assert "verify failed" in refusal("show", f"{HOST}:{server.port}")
    assert shown == [authorities.genuine.pin, authorities.intermediate.pin, authorities.root.pin]


@pytest.mark.parametrize(
    ("target", "place"),
    [("example.com", ("example.com", 443)), ("example.com:8443", ("example.com", 8443)), ("::1", ("::1", 443)),
     ("[::1]", ("::1", 443)), ("[::1]:8443", ("::1", 8443)), ("192.0.2.1:1", ("192.0.2.1", 1))],
)  # fmt: skip
def test_a_host_is_a_name_or_an_address_of_either_kind_with_a_port_or_without(target, place):
    assert _host_and_port(target) == place


@pytest.mark.parametrize(
    "target", ["https://example.com", "a:b:c", "[::1", "[::1]x", "host:99999", "u@host", "h/p", ":1"]
)
def test_what_is_no_host_is_refused_in_a_sentence(target):
    assert "cannot be asked" in refusal("show", target)


def test_what_is_neither_a_file_nor_a_host_is_refused_in_a_sentence(tmp_path):
    assert "cannot be asked" in refusal("show", "127.0.0.1:1")
    assert "cannot be asked" in refusal("show", "localhost:no-port")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    assert "not a key that can be read" in refusal("show", broken)
    broken.write_text("nothing")
    assert run("show", broken).stdout.strip() == "There is no key in it."


def test_a_signed_update_is_one_that_the_sdk_takes(authorities, tmp_path):
    key = tmp_path / "updates.key"
    update_key = answer("key", key)["update_key"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    pins = [word for pin in authorities.pins for word in ("--pin", pin)]
    signed = answer("sign", key, "--host", HOST, "--number", 7, "--days", 30, *pins)
    now_ms = SystemClock().now_ms()
    accept_update(signed["update"], Pins(authorities.pins, update_key=update_key), None, HOST, now_ms)
    update = read_update(signed["update"], update_key)
    assert (update.number, update.pins) == (7, tuple(authorities.pins))
    assert 29 < (update.not_after_ms - now_ms) / 86_400_000 <= 30
    assert run("sign", key, "--host", HOST, "--number", 7, *pins).stdout.startswith("unb_pins_")


def test_an_update_is_not_signed_with_too_few_pins_or_another_kind_of_key(authorities, tmp_path):
    key, pin = tmp_path / "updates.key", authorities.genuine.pin
    answer("key", key)
    content = key.read_bytes()
    assert "cannot be made" in refusal("key", key)
    assert key.read_bytes() == content
    assert "at least two pins" in refusal("sign", key, "--host", HOST, "--number", 1, "--pin", pin)
    other = rsa.generate_private_key(65537, 2048)
    key.write_bytes(other.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    two = ["--pin", pin, "--pin", authorities.backup.pin]
    assert "Ed25519" in refusal("sign", key, "--host", HOST, "--number", 1, *two)
    assert "no key that can be read" in refusal("sign", tmp_path / "none", "--host", HOST, "--number", 1, *two)


@pytest.mark.parametrize("words", [("--number", "0"), ("--number", "1", "--days", "0"), ("--number", "-1")])
def test_an_update_that_no_app_would_take_is_not_signed(tmp_path, words):
    key = tmp_path / "updates.key"
    answer("key", key)
    pins = [word for letter in "AB" for word in ("--pin", f"sha256/{letter * 42}A=")]
    refused = run("sign", key, "--host", "x", *pins, *words)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert run("sign", key, "--host", "x", *pins, "--number", "1").exit_code == 0
