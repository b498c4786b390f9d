"""Run the platform until it is told to stop, and stop so that nothing acknowledged is lost."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import structlog
import uvicorn
import uvloop

from unbroken.server import logs
from unbroken.server.connection import close_late_ones, protocol_class
from unbroken.server.service import Service
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from unbroken.server.data_directory import Mode
    from unbroken.server.settings import Settings

log = structlog.get_logger()


_GC_AFTER_OBJECTS: Final = 20_000
"""A request makes hundreds of objects and no cycles: looking for some after every 700 costs a tenth of the rate."""


def serve(settings: Settings, wanted: Mode, announce: Callable[[str, bool], None]) -> None:
    """Serve until SIGTERM or SIGINT.

    `announce` is called with the base URL, and whether this is a lab, once requests are taken.

    Raises:
        CannotStart: with a sentence for the operator.
    """
    with _ended_by_sigterm(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings, wanted, announce))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Until requests are taken, end at once when told to: nothing is begun that a power cut could not end as well.

    The first process of a container gets only signals that it handles, and a start may take as long as a migration.
    """
    before = signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


async def _serve(settings: Settings, wanted: Mode, announce: Callable[[str, bool], None]) -> None:
    listener = _listen(settings)
    try:
        service = await Service.open(settings, wanted)
        logs.configure(settings.log_level, lab=service.context.lab)
        server = _Server(_config(service, settings))
        await service.start()
        try:
            gc.freeze()  # what is there now stays: no need to look at it again and again
            gc.set_threshold(_GC_AFTER_OBJECTS)
            await _until_told(server, listener, lambda: announce(_url(listener), service.context.lab))
        finally:
            await service.stop()
        log.info("stopped")
    finally:
        listener.close()


async def _until_told(server: _Server, listener: socket.socket, announce: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    late = asyncio.create_task(close_late_ones(server.server_state.connections, lambda: server.should_exit))
    announce()
    try:
        await server.serve([listener])
    finally:
        late.cancel()


class _Server(uvicorn.Server):
    """uvicorn's, with signals as ours: told once it finishes what is in flight, told twice it ends at once."""

    def stop(self) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone: uvicorn would raise them again after a graceful stop, which is then no exit code 0."""
        yield


def _config(service: Service, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        service.application,
        http=protocol_class(settings, service.request_ids.next),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=int(settings.keep_alive_s),
        timeout_graceful_shutdown=int(settings.stop_timeout_s),
    )


def _listen(settings: Settings) -> socket.socket:
    """A listening socket, taken before anything else so that a taken port changes nothing."""
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:  # the latter where it cannot be a host's name
        reason = getattr(error, "strerror", None) or error
        raise CannotStart(f"The host {settings.host} cannot be listened on: {reason}.") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(settings.backlog)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        place = f"{settings.host}:{settings.port}"
        raise CannotStart(
            f"Cannot listen on {place}: {error.strerror}. Name another with --port, or stop what has it."
        ) from error
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
