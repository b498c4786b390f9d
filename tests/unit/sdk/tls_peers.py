"""CAs of our own, and servers on loopback that count what a client said to them after the handshake."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from unbroken.sdk.pins import pin_of_certificate

if TYPE_CHECKING:
    from pathlib import Path

HOST = "localhost"
FROM = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
UNTIL = dt.datetime(2099, 1, 1, tzinfo=dt.UTC)

Answer = Callable[[str, str, dict[str, str], bytes], tuple[int, bytes, dict[str, str]]]


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Holder:
    """A certificate, whoever signed it, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey
    issuer: Holder | None = None

    @property
    def pin(self) -> str:
        return pin_of_certificate(self.certificate.public_bytes(serialization.Encoding.DER))

    def issue(self, name: str, *, is_authority: bool = False) -> Holder:
        return _issue(name, self, is_authority=is_authority)

    def sent_chain(self) -> list[x509.Certificate]:
        """What a server sends: itself and the intermediates, not the root."""
        above = self.issuer
        return [self.certificate, *(above.sent_chain() if above is not None and above.issuer is not None else [])]


def authority(name: str) -> Holder:
    return _issue(name, None, is_authority=True)


def _issue(name: str, issuer: Holder | None, *, is_authority: bool) -> Holder:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key if issuer is None else issuer.key
    usage = x509.KeyUsage(
        digital_signature=True, key_cert_sign=is_authority, crl_sign=is_authority, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
    return Holder(builder.sign(signer, hashes.SHA256()), key, issuer)


class Authorities:
    """A genuine CA, another one that clients trust just as much, and who got a certificate of them."""

    def __init__(self) -> None:
        self.root = authority("genuine root")
        self.intermediate = self.root.issue("genuine intermediate", is_authority=True)
        self.genuine = self.intermediate.issue(HOST)
        self.backup = self.intermediate.issue(HOST)
        self.misissued = self.intermediate.issue(HOST)
        self.other_root = authority("another root")
        self.of_other_root = self.other_root.issue(HOST)
        self.pins = [self.genuine.pin, self.backup.pin]

    def context(self) -> ssl.SSLContext:
        """What a client has that trusts both."""
        trusted = pem(self.root.certificate) + pem(self.other_root.certificate)
        return ssl.create_default_context(cadata=trusted.decode())


@dataclass
class Peer:
    """A server: whom it met, and the bytes it was told."""

    port: int = 0
    connections: int = 0
    application_bytes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}"


def hello(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes, dict[str, str]]:
    return 200, b"hello", {}


@contextmanager
def peer(
    directory: Path,
    holder: Holder,
    *,
    answer: Answer = hello,
    appended: tuple[Holder, ...] = (),
    version: ssl.TLSVersion | None = None,
    port: int = 0,
) -> Iterator[Peer]:
    """A server with this certificate. On leaving, every connection has ended, so its counts are final."""
    context = _server_context(directory, holder, appended)
    if version is not None:
        context.maximum_version = version
    counts, threads = Peer(), []
    with socket.create_server(("127.0.0.1", port)) as listening:
        counts.port = listening.getsockname()[1]

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    counts.connections += 1
                    threads.append(threading.Thread(target=_serve, args=(connection, context, counts, answer)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield counts
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join(10)
                assert not thread.is_alive(), "a client left its connection open"


def _server_context(directory: Path, holder: Holder, appended: tuple[Holder, ...]) -> ssl.SSLContext:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{holder.certificate.serial_number}.pem"
    key = holder.key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [*holder.sent_chain(), *(certificate for other in appended for certificate in other.sent_chain())]
    path.write_bytes(key + b"".join(map(pem, chain)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def _serve(connection: socket.socket, context: ssl.SSLContext, counts: Peer, answer: Answer) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(30)
        with context.wrap_socket(connection, server_side=True) as tls:
            received = b""
            while more := tls.recv(65536):
                with counts.lock:
                    counts.application_bytes += len(more)
                received += more
                received = _answer_whole_requests(tls, received, answer)


def _answer_whole_requests(tls: ssl.SSLSocket, received: bytes, answer: Answer) -> bytes:
    """Answer what is complete; what is left waits for more."""
    while b"\r\n\r\n" in received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            break
        method, path, _ = first.split(" ")
        status, body, more = answer(method, path, headers, rest[:size])
        more = {**more, "Content-Length": str(len(body))}
        fields = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        tls.sendall(f"HTTP/1.1 {status} OK\r\n{fields}\r\n".encode() + body)
        if more.get("Connection") == "close":
            tls.shutdown(socket.SHUT_RDWR)
        received = rest[size:]
    return received
