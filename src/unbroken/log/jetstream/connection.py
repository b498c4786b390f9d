"""What is asked of JetStream over one connection: its requests as dictionaries, its troubles as ours."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import nats
from nats import errors

from unbroken.store.contract import StoreRefused, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Mapping

    from nats.aio.client import Client
    from nats.aio.msg import Msg

T = TypeVar("T")

CONNECT_TIMEOUT_S: Final = 10.0
ATTEMPTS_S: Final = (1.0, 1.5, 2.5)
"""How long the attempts at a question wait: what is asked while a leader is being elected is answered by nobody."""

_SILENCE_S: Final = 2.0
"""Between two messages of a batch."""

_RETRY_S: Final = 0.2
NOT_FOUND: Final = 404


class JetStreamError(Exception):
    """JetStream refused a request.

    Args:
        status: as HTTP has it.
        code: JetStream's own number of the error.
        said: its words.
    """

    def __init__(self, status: int, code: int, said: str) -> None:
        super().__init__(said)
        self.status = status
        self.code = code
        self.said = said


@dataclass(frozen=True, slots=True)
class Stored:
    """A message of a stream."""

    sequence: int
    subject: str
    payload: bytes


class Connection:
    """A connection that comes back by itself. Belongs to the event loop it was made in."""

    def __init__(self, client: Client, place: str) -> None:
        self.place = place
        self._client = client
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def open(cls, url: str) -> Self:
        """Connect.

        Args:
            url: one or several of nats://ACCOUNT:PASSWORD@HOST:PORT, with commas between them.

        Raises:
            StoreRefused: no server answers, or none lets us in.
        """
        servers = [one.strip() for one in url.split(",") if one.strip()]
        place = ", ".join(one.rpartition("@")[2].removeprefix("nats://") for one in servers)
        told: list[BaseException] = []

        async def hear(error: Exception) -> None:
            told.append(error)
            del told[:-1]

        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                client = await nats.connect(
                    servers, error_cb=hear, max_reconnect_attempts=-1, reconnect_time_wait=_RETRY_S, ping_interval=5,
                    max_outstanding_pings=2, connect_timeout=2, name="unbroken",
                )  # fmt: skip
        except (TimeoutError, errors.Error, OSError, ValueError) as error:
            why = told[-1] if told else error
            said = str(why) or type(why).__name__
            raise StoreRefused(f"NATS cannot be reached at {place} ({said}). See UNBROKEN_NATS_URL.") from error
        return cls(client, place)

    async def at_home(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Do something in the event loop of this connection, from whichever asks: a long read has one of its own."""
        if asyncio.get_running_loop() is self._loop:
            return await work()
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(), self._loop))

    @property
    def is_there(self) -> bool:
        """Whether a server is connected now."""
        return bool(self._client.is_connected)

    @property
    def version(self) -> tuple[int, int]:
        """Of the server, its first two numbers."""
        version = self._client.connected_server_version
        return version.major, version.minor

    @property
    def max_payload_bytes(self) -> int:
        """The largest message that the server takes."""
        return int(self._client.max_payload)

    async def ask(self, subject: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request of JetStream's API, which the leader answers. Whatever it is, asked twice it does the same.

        Raises:
            JetStreamError: it was refused.
            StoreUnavailable: nobody answered.
        """
        *patience_s, last_s = ATTEMPTS_S
        asked = f"$JS.API.{subject}", json.dumps(body or {}).encode()
        for timeout_s in patience_s:
            with suppress(StoreUnavailable):
                return refuse_error(json.loads((await self.request(*asked, timeout_s)).data))
        return refuse_error(json.loads((await self.request(*asked, last_s)).data))

    async def request(
        self, subject: str, payload: bytes, timeout_s: float, headers: dict[str, str] | None = None
    ) -> Msg:
        """Send something and wait for the answer.

        Raises:
            StoreUnavailable: there is none.
        """
        if not self.is_there:
            raise StoreUnavailable(f"NATS at {self.place} is not connected; it is tried again all the time.")
        try:
            return await self._client.request(subject, payload, timeout=timeout_s, headers=headers)
        except errors.NoRespondersError as error:
            raise StoreUnavailable("JetStream has no leader now: a node of the cluster is down or starting.") from error
        except (errors.Error, TimeoutError, OSError) as error:
            raise StoreUnavailable(f"NATS at {self.place} does not answer ({type(error).__name__}).") from error

    async def batch(self, stream: str, subject: str, sequence: int, limit: int) -> list[Stored]:
        """Messages of a stream from `sequence` on whose subject fits, in order, from any of its replicas.

        One that lags behind the leader gives fewer, and so does a connection that loses some on the way: whoever needs
        the last one asks `Reader.first_after`.

        Raises:
            StoreUnavailable: nobody answered, or stopped in the middle.
        """
        wanted = {"seq": sequence, "next_by_subj": subject, "batch": limit}
        inbox = self._client.new_inbox()
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        subscription = await self._subscribe(inbox, arrived.put)
        try:
            await self._client.publish(f"$JS.API.DIRECT.GET.{stream}", json.dumps(wanted).encode(), reply=inbox)
            return await _collect(arrived)
        except (errors.Error, TimeoutError, OSError) as error:
            raise StoreUnavailable(f"NATS at {self.place} does not answer ({type(error).__name__}).") from error
        finally:
            with suppress(errors.Error):
                await subscription.unsubscribe()

    async def hear(self, subject: str, heard: Callable[[bytes], None]) -> None:
        """Call `heard` with whatever is said about `subject`, from now on."""

        async def arrived(message: Msg) -> None:
            heard(message.data)

        await self._subscribe(subject, arrived)

    async def say(self, subject: str, payload: bytes) -> None:
        """Tell whoever listens; nobody may."""
        with suppress(errors.Error, OSError):
            await self._client.publish(subject, payload)

    async def close(self) -> None:
        """Let go of it. What it still has to say to a server that is gone is heard by nobody: uvloop's RuntimeError."""
        with suppress(errors.Error, OSError, RuntimeError):
            await self._client.close()

    async def _subscribe(self, subject: str, arrived: Callable[[Msg], Awaitable[None]]) -> Any:
        try:
            return await self._client.subscribe(subject, cb=arrived)
        except (errors.Error, OSError) as error:
            raise StoreUnavailable(f"NATS at {self.place} is not connected ({type(error).__name__}).") from error


def refuse_error(answer: dict[str, Any]) -> dict[str, Any]:
    """What JetStream answered.

    Raises:
        JetStreamError: that was an error.
    """
    if (error := answer.get("error")) is not None:
        raise JetStreamError(error.get("code", 0), error.get("err_code", 0), error.get("description", ""))
    return answer


async def _collect(arrived: asyncio.Queue[Msg]) -> list[Stored]:
    """The messages of a batch up to its end, or up to where one is missing: each is sent once, and can be lost."""
    found: list[Stored] = []
    while True:
        async with asyncio.timeout(_SILENCE_S):
            message = await arrived.get()
        headers = message.headers or {}
        if not _is_next(headers, found):
            return found
        match headers.get("Status"):
            case None:
                found.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data))
            case "204" | "404":
                return found
            case status:
                raise StoreUnavailable(f"JetStream cannot read the payload log now (status {status}).")


def _is_next(headers: Mapping[str, str], found: list[Stored]) -> bool:
    """Whether a message was sent after the last of those, none in between: it names the one before it, the first 0."""
    before = headers.get("Nats-Last-Sequence")
    return before is None or int(before) == (found[-1].sequence if found else 0)
