"""A platform with one mistake in it: what the attack suite must find. `python broken_build.py MISTAKE ... serve ...`.

Each mistake is one that was made before, somewhere: a filter left out of one statement, a check after the effect, a
limit that nobody enforces. The rest of the platform is the real one.
"""

from __future__ import annotations

import asyncio
import dataclasses
import sys
import zlib

import zstandard

import unbroken.cli
from unbroken import credentials
from unbroken.domain.errors import AuthCodeUsed, ForbiddenScope, NotFound
from unbroken.domain.ids import AppId, UserId, parse_id
from unbroken.flow import authenticate, codes, link, profile, tokens, whose
from unbroken.server import authenticate as door
from unbroken.server import body, connection, dispatch, problems


def tenant_filter_off_in_one_read():
    right = whose.person

    async def person(tx, caller, user_id):
        row = await tx.one("SELECT app_id FROM users WHERE user_id = $1", parse_id(user_id) or b"") if user_id else None
        if row and isinstance(caller, authenticate.KeyCaller):
            caller = dataclasses.replace(caller, app=dataclasses.replace(caller.app, app_id=AppId(row[0])))
        return await right(tx, caller, user_id)

    profile.person = person


def foreign_id_answers_403():
    right = whose.person

    async def person(tx, caller, user_id):
        try:
            return await right(tx, caller, user_id)
        except NotFound:
            if user_id and await tx.one("SELECT 1 FROM users WHERE user_id = $1", UserId(parse_id(user_id) or b"")):
                raise ForbiddenScope from None
            raise

    profile.person = person


def scope_check_off():
    right = door.authenticate

    async def admit(context, route, authorization):
        try:
            return await right(context, route, authorization)
        except ForbiddenScope:
            return await door._caller(context, route, authorization)

    dispatch.authenticate = admit


def code_read_then_written():
    right = codes.redeem
    codes._refuse_ended = lambda *_: None

    async def redeem(context, caller, text, same):
        found = await context.store.read(lambda tx: codes.find(context, tx, text))
        if found.code.redeemed_by not in {None, caller.install_id}:
            raise AuthCodeUsed
        await asyncio.sleep(0.005)
        return await right(context, caller, text, same)

    codes.redeem = redeem


def ticket_unchecked():
    link._Asked._ticket = lambda _: link.Ticket.VALID


def no_body_limit():
    body._check_size = lambda _: None
    body.declared_bytes = lambda _: 0


def revoked_key_accepted():
    authenticate._refuse_ended = lambda *_: None


def secret_compared_with_nothing():
    def read_opaque(text):
        kind = credentials.kind_of(text)
        start = len(f"unb_{kind}_")
        subject = parse_id(text[start : start + 24])
        return None if subject is None else credentials.Opaque(kind, subject, text)

    class NoHmac:
        compare_digest = staticmethod(lambda *_: True)

    credentials.read_opaque = read_opaque
    authenticate.hmac = NoHmac
    authenticate.is_one_of = lambda *_: True  # what compares where keys are kept under several peppers


def decompression_unlimited():
    def unpack(packed, encoding):
        if encoding == b"gzip":
            return zlib.decompress(packed, 31)
        return zstandard.ZstdDecompressor().decompressobj().decompress(packed) if encoding == b"zstd" else packed

    body.unpack = unpack


def head_deadline_off():
    right = connection.Connection._limit_s

    def limit_s(self, phase, *, stopping):
        return None if phase == "head" and not stopping else right(self, phase, stopping=stopping)

    connection.Connection._limit_s = limit_s


def trailers_are_headers():
    connection.Connection.on_header = connection.HttpToolsProtocol.on_header


def old_phone_reads_on():
    whose.refuse_reader = lambda _: None


def spent_credential_renews():
    right = tokens.renew

    async def renew(context, caller, key):
        digest = context.vault.digest(caller.token)
        subject = credentials.read_opaque(caller.token).subject
        await context.store.write(
            lambda tx: tx.run("UPDATE installs SET credential = $2 WHERE install_id = $1", subject, digest)
        )
        return await right(context, caller, key)

    tokens.renew = renew


def install_key_unasked():
    tokens._refuse_unproven = lambda *_: None


def stack_in_refusals():
    right = problems.body_of

    def body_of(refusal, request_id):
        return right(refusal, request_id).replace(b'"ref"', b'"trace":"Traceback (most recent call last)","ref"', 1)

    problems.body_of = body_of


MISTAKES = {
    mistake.__name__: mistake
    for mistake in (
        tenant_filter_off_in_one_read,
        foreign_id_answers_403,
        scope_check_off,
        code_read_then_written,
        ticket_unchecked,
        no_body_limit,
        revoked_key_accepted,
        secret_compared_with_nothing,
        decompression_unlimited,
        head_deadline_off,
        trailers_are_headers,
        old_phone_reads_on,
        spent_credential_renews,
        install_key_unasked,
        stack_in_refusals,
    )
}

if __name__ == "__main__":
    MISTAKES[sys.argv[1]]()
    sys.argv = ["unbroken", *sys.argv[sys.argv.index("unbroken") + 1 :]]
    unbroken.cli.main()
