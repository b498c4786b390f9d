"""What an orchestrator and a scraper ask: is the process alive, can it serve, what did it do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from unbroken.domain.errors import Unavailable
from unbroken.server import metrics as pages
from unbroken.server.route import Answer, Credential, Route

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.server.metrics import Metrics
    from unbroken.server.readiness import Readiness
    from unbroken.server.route import Call


class Alive(Struct, frozen=True):
    """The process answers."""

    status: Literal["alive"]
    lab: bool


class Ready(Struct, frozen=True):
    """Everything the platform needs is there: each dependency by name."""

    status: Literal["ready"]
    lab: bool
    dependencies: dict[str, Literal["ok"]]


def routes(readiness: Readiness, metrics: Metrics) -> list[Route]:
    """The calls that need no credential and say nothing of anybody."""

    async def live(context: Context, _: Call) -> Alive:
        return Alive("alive", context.lab)

    async def ready(context: Context, _: Call) -> Ready:
        if troubles := await readiness.troubles():
            raise Unavailable(f"Not ready: {', '.join(troubles)}.", details=tuple(troubles.items()), retry_after_s=1)
        return Ready("ready", context.lab, dict.fromkeys(readiness.names, "ok"))

    async def scrape(_: Context, __: Call) -> Answer:
        return Answer(metrics.page(), headers={"content-type": pages.CONTENT_TYPE.decode()})

    return [
        _open("/health/live", live, "Whether the process answers.", Alive),
        _open("/health/ready", ready, "Whether the platform can serve: each dependency by name.", Ready),
        _open("/metrics", scrape, "Counts and durations, for Prometheus.", str),
    ]


def _open(path: str, handler: object, summary: str, reply: object) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,  # type: ignore[arg-type]
        credential=Credential.NONE,
        scope=None,
        summary=summary,
        reply=reply,
        reply_type="text/plain" if reply is str else "application/json",
    )
