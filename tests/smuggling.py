"""Requests whose end, or whose host, two readers may see in different places.

Each carries another request that must never be read as one: `GET /health/live`, which nobody else asks for here.
Whoever reads one of these must refuse it and hang up, or see the same single request as everybody else.
"""

from __future__ import annotations

from typing import Final

CANARY: Final = "GET /health/live"
INNER: Final = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

_LINE: Final = b"POST /sdk/installs HTTP/1.1\r\n"
_HOST: Final = b"Host: localhost\r\n"
_POST: Final = _LINE + _HOST
_GET: Final = b"GET /sdk/install HTTP/1.1\r\n"
_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_LENGTH: Final = b"Content-Length: %d\r\n" % len(INNER)


def _te(value: bytes) -> bytes:
    """With a length that hides the inner request, and an encoding that would uncover it."""
    return _POST + _LENGTH + b"Transfer-Encoding" + value + b"\r\n\r\n0\r\n\r\n" + INNER


def _length(value: bytes) -> bytes:
    return _POST + b"Content-Length: " + value + b"\r\n\r\n" + INNER


def _chunks(content: bytes) -> bytes:
    return _POST + _CHUNKED + b"\r\n" + content


def _host(lines: bytes) -> bytes:
    return _GET + lines + b"\r\n"


CORPUS: Final = {
    "a length and chunks": _POST + b"Content-Length: 5\r\n" + _CHUNKED + b"\r\n0\r\n\r\n" + INNER,
    "chunks and a length": _POST + _CHUNKED + _LENGTH + b"\r\n0\r\n\r\n" + INNER,
    "chunks and no length at all": _POST + _CHUNKED + b"Content-Length: 0\r\n\r\n" + INNER,
    "two lengths": _POST + b"Content-Length: 0\r\n" + _LENGTH + b"\r\n" + INNER,
    "two lengths, the longer first": _POST + _LENGTH + b"Content-Length: 0\r\n\r\n" + INNER,
    "one length twice": _POST + _LENGTH + _LENGTH + b"\r\n" + INNER,
    "a list of lengths": _length(b"0, %d" % len(INNER)),
    "a length with a plus": _length(b"+%d" % len(INNER)),
    "a length below nothing": _length(b"-1"),
    "a length in hexadecimal": _length(b"0x10"),
    "a length with a blank": _length(b"1 0"),
    "an empty length": _length(b""),
    "a length in other digits": _length("٣".encode()),
    "a length with an underscore": _length(b"1_0"),
    "a length that overflows": _length(b"18446744073709551617"),
    "an encoding nobody knows": _te(b": xchunked"),
    "chunks, then nothing": _te(b": chunked, identity"),
    "no encoding, by name": _te(b": identity"),
    "chunks after a vertical tab": _te(b":\x0bchunked"),
    "chunks before a vertical tab": _te(b": chunked\x0b"),
    "chunks in quotes": _te(b': "chunked"'),
    "chunks with a parameter": _te(b": chunked;q=1"),
    "a blank before the colon": _te(b" : chunked"),
    "a tab before the colon": _te(b"\t: chunked"),
    "an encoding on the next line": _te(b":\r\n chunked"),
    "an encoding behind a bare line end": _POST + b"X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "an encoding behind a bare return": _POST + b"X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + INNER,
    "an encoding twice": _POST + _CHUNKED + b"Transfer-Encoding: identity\r\n" + _LENGTH + b"\r\n0\r\n\r\n" + INNER,
    "chunks in HTTP/1.0": b"POST /sdk/installs HTTP/1.0\r\n" + _HOST + _LENGTH + _CHUNKED + b"\r\n0\r\n\r\n" + INNER,
    "lines that end with a line feed alone": _POST.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + INNER,
    "a head that ends with a line feed alone": _POST + b"Content-Length: 0\r\n\n" + INNER,
    "a folded line": _POST + b"X: y\r\n Content-Length: 0\r\n" + _LENGTH + b"\r\n" + INNER,
    "a folded first line": _LINE + b" X: y\r\n" + _HOST + _LENGTH + b"\r\n" + INNER,
    "a line without a colon": _POST + b"Content-Length\r\n" + _LENGTH + b"\r\n" + INNER,
    "a line without a name": _POST + b": 0\r\n" + _LENGTH + b"\r\n" + INNER,
    "a NUL in a value": _POST + b"X: a\0b\r\n" + _LENGTH + b"\r\n" + INNER,
    "a NUL in a name": _POST + b"Content\0-Length: 0\r\n" + _LENGTH + b"\r\n" + INNER,
    "a chunk of less than nothing": _chunks(b"-1\r\n\r\n0\r\n\r\n" + INNER),
    "a chunk in hexadecimal by name": _chunks(b"0x0\r\n\r\n" + INNER),
    "a chunk of no number": _chunks(b"zz\r\n\r\n0\r\n\r\n" + INNER),
    "a chunk that overflows": _chunks(b"10000000000000000\r\n0\r\n\r\n" + INNER),
    "a chunk behind a line feed alone": _chunks(b"1\nx\r\n0\r\n\r\n" + INNER),
    "a chunk longer than it says": _chunks(b"1\r\nxyz\r\n0\r\n\r\n" + INNER),
    "a chunk with no end": _chunks(b"1\r\nx0\r\n\r\n" + INNER),
    "an extension with a line feed": _chunks(b"1;a\nb\r\nx\r\n0\r\n\r\n" + INNER),
    "an extension with a return": _chunks(b"1;a\rb\r\nx\r\n0\r\n\r\n" + INNER),
    "a last chunk behind a line feed alone": _chunks(b"0\n\n" + INNER),
    "no host": _host(b""),
    "two hosts": _host(_HOST + b"Host: evil.example\r\n"),
    "one host twice": _host(_HOST + _HOST),
    "a host with a path": _host(b"Host: localhost/evil\r\n"),
    "a host with an account": _host(b"Host: user@evil.example\r\n"),
    "a host with a blank": _host(b"Host: local host\r\n"),
    "a host with a comma and a blank": _host(b"Host: localhost, evil.example\r\n"),
    "a host with another port than numbers": _host(b"Host: localhost:80evil\r\n"),
    "a host on the next line": _host(b"Host:\r\n localhost\r\n"),
    "a method in small letters": b"get /sdk/install HTTP/1.1\r\n" + _HOST + b"\r\n",
    "two blanks in the first line": b"GET  /sdk/install HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a tab in the first line": b"GET\t/sdk/install\tHTTP/1.1\r\n" + _HOST + b"\r\n",
    "a first line without a version": b"GET /sdk/install\r\n" + _HOST + b"\r\n",
    "another version": b"GET /sdk/install HTTP/1.2\r\n" + _HOST + b"\r\n",
    "the beginning of HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a tunnel": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n" + INNER,
    "more lines than anybody sends": _GET + _HOST + b"".join(b"X-%d: y\r\n" % n for n in range(101)) + b"\r\n",
}
"""To be refused, or read as one."""

WHOLE: Final = {
    "a body that is a request": _POST + _LENGTH + b"\r\n" + INNER,
    "a body of a GET": _GET + _HOST + _LENGTH + b"\r\n" + INNER,
    "a chunk that is a request": _chunks(b"%x\r\n%b\r\n0\r\n\r\n" % (len(INNER), INNER)),
    "an extension that is a line": _chunks(b"1;Content-Length=0\r\nx\r\n0\r\n\r\n"),
    "a trailer that is a length": _chunks(b"1\r\nx\r\n0\r\nContent-Length: 99\r\n\r\n"),
    "a length between blanks": _POST + b"Content-Length:   %d  \r\n\r\n" % len(INNER) + INNER,
    "a target with another host in it": b"GET http://evil.example/sdk/install HTTP/1.1\r\n" + _HOST + b"\r\n",
    "a host with a port": _host(b"Host: localhost:8443\r\n"),
    "a host that is an address": _host(b"Host: [::1]:8443\r\n"),
}
"""Odd, and allowed: read as one."""
