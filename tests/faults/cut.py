"""A wire between a client and a server that can be cut, and that cuts itself at a word."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Wire:
    """Between whoever connects to `url` and the server.

    Attributes:
        cut_at: the wire is cut when a client says this; None: never.
        is_passed_on: whether the server still hears what cut the wire.
        unheard: what was said on connections that had fallen silent.
    """

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._host, self._port = parts.hostname, parts.port
        self._to_port = self._port
        self._server = server
        self._listening: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._silent: set[asyncio.StreamWriter] = set()
        self.cut_at: bytes | None = None
        self.is_passed_on = True
        self.unheard = b""

    @property
    def url(self) -> str:
        assert self._listening is not None
        port = self._listening.sockets[0].getsockname()[1]
        return self._server.replace(f":{self._port}/", f":{port}/")

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._listening is not None
        self._listening.close()
        self.cut()
        await self._listening.wait_closed()

    def lead_to(self, server: str) -> None:
        """From now on to another server; every connection ends."""
        parts = urlsplit(server)
        self._host, self._to_port = parts.hostname, parts.port
        self.cut()

    def cut(self) -> None:
        """Every connection ends, on both sides."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    def fall_silent(self) -> None:
        """Nothing passes any more on the connections that there are, which stay open; new ones are as always."""
        self._silent |= self._writers

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(self._host, self._to_port)
        self._writers |= {writer, server_writer}
        with contextlib.suppress(OSError):
            await asyncio.gather(self._up(reader, server_writer), self._down(server_reader, writer))
        for each in (writer, server_writer):
            each.close()
            self._writers.discard(each)

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65_536):
            if writer in self._silent:
                self.unheard += said
                continue
            if self.cut_at is not None and self.cut_at in said:
                self.cut_at = None
                if self.is_passed_on:
                    writer.write(said)
                    await writer.drain()
                self.cut()
                return
            writer.write(said)
            await writer.drain()
        writer.close()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while said := await reader.read(65_536):
            if writer in self._silent:
                continue
            writer.write(said)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def wire_to(server: str) -> AsyncIterator[Wire]:
    """A wire that is open for the length of the block."""
    wire = Wire(server)
    await wire.start()
    try:
        yield wire
    finally:
        await wire.stop()
