"""`unbroken pin ...`: the pins of keys, and signed updates of them for apps that are out there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from unbroken import wire
from unbroken.cli.options import Json  # noqa: TC001 - typer reads the annotations
from unbroken.cli.output import errors_as_sentences, print_facts, print_json, print_table
from unbroken.clock import SystemClock
from unbroken.domain.errors import InvalidRequest
from unbroken.domain.payload import DAY_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

program = typer.Typer(help="Pins: which keys the SDK talks to.", no_args_is_help=True)

_BLOCK: Final = re.compile(rb"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)
_CONNECT_TIMEOUT_S: Final = 10.0
_PORT: Final = 443


@program.command()
def show(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET", help="A PEM file (certificate, request, public or private key), or HOST[:PORT]."
        ),
    ],
    ca_file: Annotated[Path | None, typer.Option(help="The CA to trust for a host; the system's if left out.")] = None,
    json: Json = False,
) -> None:
    """Show the pin of every key in a file, or of every certificate that a host proves itself with.

    Pin keys that are yours alone; the last certificate of a host is its CA's, whose pin trusts all that CA issues.
    """
    with errors_as_sentences(json=json):
        path = Path(target)
        found = list(_in_file(path) if path.is_file() else _of_host(target, ca_file))
        if json:
            print_json({"pins": [{"pin": pin, "of": of} for pin, of in found]})
        else:
            print_table(["PIN", "OF"], found, empty="There is no key in it.")


@program.command()
def key(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the private key is written; it must not exist.")],
    json: Json = False,
) -> None:
    """Make a key that signs updates of pins. Keep the file off every server; the update key goes into the app."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - each command starts as fast as it can
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    from unbroken.sdk.pin_updates import update_key_of  # noqa: PLC0415

    with errors_as_sentences(json=json):
        made = Ed25519PrivateKey.generate()
        no_password = serialization.NoEncryption()
        _write_new(file, made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, no_password))
        facts = {"update_key": update_key_of(made)}
        if json:
            print_json(facts)
        else:
            print_facts(f"The private key is in {file}. Whoever has it can exchange the pins of your apps.", facts)


@program.command()
def sign(
    key_file: Annotated[Path, typer.Argument(metavar="KEY_FILE", help="What `unbroken pin key` wrote.")],
    *,
    host: Annotated[str, typer.Option(help="Whose pins they are.")],
    number: Annotated[int, typer.Option(min=1, help="Greater than that of every set before.")],
    pin: Annotated[list[str], typer.Option(help="A key the host may have; again for more, at least two.")],
    days: Annotated[int, typer.Option(min=1, help="How long they hold, from now on.")] = 90,
    json: Json = False,
) -> None:
    """Sign an update of pins: text that an app gives to `Sdk.apply_pin_update`, however it gets it."""
    from unbroken.sdk.errors import InvalidConfig  # noqa: PLC0415 - each command starts as fast as it can
    from unbroken.sdk.pin_updates import PinUpdate, sign_update  # noqa: PLC0415
    from unbroken.sdk.pins import Pins  # noqa: PLC0415

    with errors_as_sentences(json=json):
        try:
            Pins(pin)
        except InvalidConfig as refused:
            raise InvalidRequest(f"{refused}.") from None
        now_ms = SystemClock().now_ms()
        update = PinUpdate(number, host, tuple(pin), now_ms - DAY_MS, now_ms + days * DAY_MS)
        text = sign_update(update, _private_key(key_file))
        if json:
            print_json({"update": text, "expires_at": wire.iso(update.not_after_ms)})
        else:
            typer.echo(text)


def _in_file(path: Path) -> Iterator[tuple[str, str]]:
    from unbroken.sdk.pins import pin_of  # noqa: PLC0415 - each command starts as fast as it can

    for block in _BLOCK.finditer(path.read_bytes()):
        yield pin_of(_public_key(block.group(0), block.group(1).decode())), block.group(1).decode().lower()


def _public_key(pem: bytes, kind: str) -> bytes:
    """The SubjectPublicKeyInfo of whatever a block holds."""
    from cryptography import x509  # noqa: PLC0415 - each command starts as fast as it can
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    public: Any
    try:
        if kind == "CERTIFICATE":
            public = x509.load_pem_x509_certificate(pem).public_key()
        elif kind.endswith("CERTIFICATE REQUEST"):
            public = x509.load_pem_x509_csr(pem).public_key()
        elif kind == "PUBLIC KEY":
            public = serialization.load_pem_public_key(pem)
        else:
            public = serialization.load_pem_private_key(pem, password=None).public_key()
    except (ValueError, TypeError) as error:
        raise InvalidRequest(f"A block {kind!r} is not a key that can be read: {error}.") from None
    found: bytes = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return found


def _of_host(target: str, ca_file: Path | None) -> Iterator[tuple[str, str]]:
    import socket  # noqa: PLC0415 - each command starts as fast as it can
    import ssl  # noqa: PLC0415

    from cryptography import x509  # noqa: PLC0415

    from unbroken.sdk.pinning import verified_chain  # noqa: PLC0415
    from unbroken.sdk.pins import pin_of_certificate  # noqa: PLC0415

    try:
        host, port = _host_and_port(target)
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            chain = verified_chain(tls)
    except (OSError, ValueError) as error:
        raise InvalidRequest(f"{target} is no file, and as a host it cannot be asked: {error}.") from None
    for certificate in chain:
        subject = x509.load_der_x509_certificate(certificate).subject.rfc4514_string()
        yield pin_of_certificate(certificate), subject or f"the certificate of {host}"


def _host_and_port(target: str) -> tuple[str, int]:
    """Of HOST, HOST:PORT, [ADDRESS]:PORT, or an IPv6 address alone.

    Raises:
        ValueError: it is none of them.
    """
    is_address_alone = target.count(":") > 1 and not target.startswith("[")
    parts = urlsplit(f"//[{target}]" if is_address_alone else f"//{target}")
    if not parts.hostname or parts.path or parts.query or parts.fragment or "@" in target:
        raise ValueError("name it as HOST, HOST:PORT or [ADDRESS]:PORT")
    return parts.hostname, parts.port or _PORT


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - each command starts as fast as it can
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415

    try:
        found = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidRequest(f"{path} holds no key that can be read: {error}.") from None
    if not isinstance(found, Ed25519PrivateKey):
        raise InvalidRequest(f"{path} does not hold an Ed25519 key; `unbroken pin key` makes one.")
    return found


def _write_new(path: Path, content: bytes) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be made: {error.strerror}.") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
