"""A bad road inside a server: whatever is asked is asked at least twice, and a tenth of the replies is never heard.

It stands before the application and behind the sockets, where a body is still read as the application wishes. So
limits of bodies, slow callers and half requests meet the same server as on a good road. The road is the caller that
repeats: with the same `Idempotency-Key`, and one of its own where the caller gave none. The last reply is passed on.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from tests.model.api import Reply, random_uuid
from tests.model.repeated import WITHOUT_KEY, assert_one_answer, fates, is_kept

from unbroken.randomness import SystemRandomness
from unbroken.server.reply import WRITE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random  # noqa: TID251 - seeded by whoever makes it

    from unbroken.server.reply import Message, Receive, Scope, Send

    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY = b"idempotency-key"
PRESENT = {"state", "state_reason", "user_id", "linked", "config"}


class Record(Protocol):
    """Where a road tells what became of each call."""

    def call(self, call: str, sent: int, lost: int) -> None: ...

    def complain(self, call: str, what: str) -> None: ...


class Road:
    """See the module.

    Args:
        random: decides which replies are lost.
        record: is told of each call.
    """

    def __init__(self, random: Random, record: Record) -> None:
        self._random = random
        self._record = record

    async def carry(self, application: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask at least twice, and again until the last reply is heard."""
        call = f"{scope['method']} {scope['path']}"
        if needs_key(scope):
            scope["headers"] = [*scope["headers"], (KEY, new_key())]
        said, heard = Said(receive), fates(self._random)
        replies: list[Passed] = []

        def tell() -> None:
            self._record.call(call, len(replies), heard[: len(replies)].count(False))
            self._compare(call, scope, [one.reply for one in replies if is_kept(one.status)])

        for _ in heard[1:]:
            replies.append(Passed(scope))
            await application(replies[-1].scope, said.again(), replies[-1].send)
            if await said.is_over():  # who is gone repeats nothing; what came late would void what he was told since
                tell()
                return
        replies.append(Heard(scope, send, tell))
        await application(scope, said.again(), replies[-1].send)
        replies[-1].end()

    def _compare(self, call: str, scope: Scope, kept: list[Reply]) -> None:
        if not is_kept_by_key(scope):
            return
        is_devices = scope["path"].startswith("/sdk/")
        try:
            assert_one_answer([without_present(reply) for reply in kept] if is_devices else kept)
        except (AssertionError, ValueError) as different:
            told = [str(reply) for reply in kept]
            self._record.complain(call, f"{type(different).__name__}: {told}")


def takes_key(scope: Scope) -> bool:
    """Whether it is a call that a caller repeats with a key."""
    return scope["method"] == "POST" and scope["path"] not in WITHOUT_KEY


def needs_key(scope: Scope) -> bool:
    """Whether it is such a call, and has none."""
    return takes_key(scope) and all(name.lower() != KEY for name, _ in scope["headers"])


def is_kept_by_key(scope: Scope) -> bool:
    """Whether the answer to it is kept, so that it cannot be another one because of what happened since.

    A try is tried anew each time, and so is what has no key: an upload is refused once its install is deleted.
    """
    return takes_key(scope) and b"dry_run=true" not in scope["query_string"]


def without_present(reply: Reply) -> Reply:
    """What is said to a device, without how it stands now: by then others may have changed that."""
    told = reply.json
    return replace(reply, body=json.dumps({name: told[name] for name in told.keys() - PRESENT}).encode())


def new_key() -> bytes:
    """A key that nobody used: also not this road before its server was started anew, so it is not of the seed."""
    return random_uuid(SystemRandomness().secret(16)).encode()


@dataclass
class Said:
    """What the caller says, to be heard from its beginning as often as it is asked again.

    Nothing is read before the application asks, so a body that it refuses is not read here either.
    """

    receive: Receive
    messages: list[Message] = field(default_factory=list)
    is_gone: bool = False

    def again(self) -> Receive:
        """The `receive` of one time more."""
        at = 0

        async def receive() -> Message:
            nonlocal at
            if at == len(self.messages):
                message = await self._more()
                if self.is_gone:
                    return message  # whoever asks again is told so again
            at += 1
            return self.messages[at - 1]

        return receive

    async def is_over(self) -> bool:
        """Whether the caller hung up. Of one whose body is not read yet nothing is read to find that out."""
        if self.messages and not self.messages[-1].get("more_body"):
            look = asyncio.ensure_future(self._more())
            await asyncio.sleep(0)  # a server that knows of it says so at once
            look.cancel()
        return self.is_gone

    async def _more(self) -> Message:
        message = await self.receive()
        self.is_gone = message["type"] != "http.request"
        if not self.is_gone:
            self.messages.append(message)
        return message


class Passed:
    """One reply, which nobody hears. That to a POST is kept, to be compared."""

    def __init__(self, scope: Scope) -> None:
        self.scope: Scope = {name: value for name, value in scope.items() if name != WRITE}
        self.status = 0
        self._body = bytearray()
        self._keeps = scope["method"] == "POST"

    @property
    def reply(self) -> Reply:
        """What was said; status 0 where the caller went away."""
        return Reply(self.status, {}, bytes(self._body))

    async def send(self, message: Message) -> None:
        """See ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif self._keeps:
            self._body += message.get("body", b"")

    def end(self) -> None:
        """It is whole, or will never be."""


class Heard(Passed):
    """The reply that the caller hears.

    Args:
        tell: called once, before the end of the reply is passed on: what it tells is told when the caller goes on.
    """

    def __init__(self, scope: Scope, send: Send, tell: Callable[[], None]) -> None:
        super().__init__(scope)
        self._on, self._tell = send, tell
        self._write = scope.get(WRITE)
        if self._write is not None:
            scope[WRITE] = self._write_on

    async def send(self, message: Message) -> None:
        """See ASGI."""
        await super().send(message)
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.end()
        await self._on(message)

    def end(self) -> None:
        """See above."""
        tell, self._tell = self._tell, lambda: None
        tell()

    def _write_on(self, scope: Scope, status: int, head: bytes, body: bytes) -> Any:
        """See `Connection.write_reply`: the short way that a server of ours takes with most replies."""
        self.status, self._body = status, bytearray(body)
        self.end()
        if self._write(scope, status, head, body):
            return True
        self._body.clear()  # it comes once more, as messages
        return False
