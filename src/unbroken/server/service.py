"""One server process: the application, the worker, and what looks after them."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import structlog

from unbroken import wire
from unbroken.flow.process import Worker
from unbroken.flow.shared_limits import MEET_EVERY_S, SharedLimits
from unbroken.randomness import SystemRandomness
from unbroken.server import data_directory, health, lab, safety, table
from unbroken.server.app import Application
from unbroken.server.audit_heads import AuditHeads
from unbroken.server.counting import Counting, limits_of, quotas_of
from unbroken.server.held_links import HeldLinks
from unbroken.server.key_watch import EVERY_S, KeyWatch
from unbroken.server.logs import RequestLog
from unbroken.server.metrics import Metrics
from unbroken.server.patrol import Patrol
from unbroken.server.platform import open_data
from unbroken.server.readiness import Readiness
from unbroken.server.request_ids import RequestIds
from unbroken.server.rounds import Rounds
from unbroken.server.trouble import CannotStart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from unbroken.domain.ids import UserId
    from unbroken.domain.reckoning import Reckoning
    from unbroken.flow.limits import Limits
    from unbroken.flow.quotas import Quotas
    from unbroken.server.data_directory import Mode
    from unbroken.server.platform import Opened
    from unbroken.server.readiness import Ask
    from unbroken.server.safety.finding import Finding
    from unbroken.server.settings import Settings
    from unbroken.store.dead_letters import DeadLetter

_WORKER_PAUSE_S: Final = 1.0

log = structlog.get_logger()


class Service:
    """Everything one server process runs."""

    def __init__(self, opened: Opened, settings: Settings, lock: int) -> None:
        is_alone = not opened.is_shared
        self.context = opened.context
        self.metrics = Metrics()
        self.worker = Worker(
            opened.context,
            is_alone=is_alone,
            answers_calls=settings.role != "worker",
            tell=_tell_failure,
            tell_dead=_tell_dead_letter,
            tell_clock=_tell_clock,
        )
        self.request_log = RequestLog(enabled=settings.log_level in {"debug", "info"}, lab=opened.mode.lab)
        self.request_ids = RequestIds(SystemRandomness())
        told = HeldLinks(opened.context.wall, self.metrics).refused
        limits = None if opened.mode.lab else limits_of(settings, told)
        self._quotas = None if opened.mode.lab else quotas_of(settings, opened.context, told, is_alone=is_alone)
        self._shared = _shared_of(settings, opened, limits, self._quotas)
        self._rounds = [Rounds(each.meet, MEET_EVERY_S, "limits not shared", rests_first=True) for each in self._shared]
        self._rounds += self._watches(settings)
        self.warnings: Sequence[Finding] = ()
        self._opened = opened
        self._lock = lock
        self._worker_trouble: str | None = "not started"
        self._working: asyncio.Task[None] | None = None
        self._role = settings.role
        self._show_work()
        self._readiness = Readiness(self._checks())
        own = [*health.routes(self._readiness, self.metrics), *(lab.routes(self.worker) if opened.mode.lab else [])]
        self.application = Application(
            opened.context,
            own if settings.role == "worker" else table.all_routes(own, is_lab=opened.mode.lab),
            metrics=self.metrics,
            request_log=self.request_log,
            request_ids=self.request_ids,
            lab_clock=opened.lab_clock,
            counting=None if limits is None else Counting.by(settings, limits, self._quotas),
        )

    @classmethod
    async def open(cls, settings: Settings, wanted: Mode) -> Service:
        """Open the data directory of `settings` and put everything together; nothing runs yet.

        Raises:
            CannotStart: with a sentence for the operator.
        """
        _refuse_before_all(settings, data_directory.expected(settings.data, wanted))
        mode = data_directory.prepare(settings.data, wanted)
        warnings = safety.refuse(settings, is_lab=mode.lab)
        lock = data_directory.lock(settings.data)
        try:
            service = cls(await open_data(settings, mode, serving=True), settings, lock)
        except BaseException:
            os.close(lock)
            raise
        service.warnings = warnings
        return service

    async def start(self) -> None:
        """Begin to work."""
        for check, _, sentence in self.warnings:
            log.warning("unsafe", check=check, reason=sentence)
        await self.context.standings.load(self.context)
        if self._quotas is not None:
            await self._quotas.load()
        self.request_log.start(asyncio.get_running_loop())
        for each in self._rounds:
            each.start()
        if self._role != "api":
            self._working = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish what is begun, then let go of everything."""
        await self._readiness.stop()
        for each in self._rounds:
            await each.stop()
        self.worker.stop()
        if self._working is not None:
            await self._working
        for shared in self._shared:
            await shared.leave()
        await self._opened.close()
        self.request_log.flush()
        os.close(self._lock)

    async def _work(self) -> None:
        """Run the worker; one that fails is started again after a pause, and `/health/ready` says so meanwhile."""
        while True:
            try:
                self._worker_trouble = None
                await self.worker.run()
            except Exception as error:
                self._worker_trouble = f"failed, and is started again: {type(error).__name__}"
                log.exception("worker failed")
                await asyncio.sleep(_WORKER_PAUSE_S)
            else:
                self._worker_trouble = "stopped"
                return

    def _watches(self, settings: Settings) -> list[Rounds]:
        """What looks after the data, beside a worker only; its metrics are everywhere."""
        patrol = Patrol(self.context, self.metrics)
        keys = KeyWatch(self.context, self.metrics)
        heads = AuditHeads(self.context, self.metrics, settings)
        if settings.role == "api":
            return []
        return [
            Rounds(patrol.look, settings.verify_every_s, "verify failed", rests_first=True),
            Rounds(heads.publish, settings.audit_publish_every_s, "audit head not published"),
            Rounds(keys.look, EVERY_S, "keys not looked at"),
        ]

    def _show_work(self) -> None:
        """What the metrics read of the worker, of the payload log and of the store."""
        failures = "Times that a timeline could not be computed."
        self.metrics.counter("unbroken_timeline_failures", failures, lambda: self.worker.failures)
        name, payload_log = "unbroken_payload_log", self.context.log
        self.metrics.gauge(f"{name}_unanswered", "Uploads that wait to be stored.", lambda: payload_log.unanswered)
        self.metrics.counter(f"{name}_refused", "Uploads that could not be stored.", lambda: payload_log.refused)
        self.metrics.counter("unbroken_dead_letters", "Uploads set aside.", lambda: self.worker.dead)

        away = "How far the clock is from the time that deleting goes by: it has jumped, and is not believed yet."
        self.metrics.gauge("unbroken_clock_away_seconds", away, lambda: _away_s(self.worker.time))

        again = "Groups of changes that the database had to do over, call by call: many of them, and changes are slow."
        self.metrics.counter("unbroken_store_groups_again", again, lambda: self.context.store.groups_again)

    def _checks(self) -> dict[str, Ask]:
        checks: dict[str, Ask] = {"store": self._check_store, "payload_log": self._check_log}
        return checks if self._role == "api" else checks | {"worker": self._check_worker}

    async def _check_store(self) -> str | None:
        await self.context.store.read(lambda tx: tx.one("SELECT 1"))
        return None

    async def _check_log(self) -> str | None:
        return await self.context.log.trouble()

    async def _check_worker(self) -> str | None:
        return self._worker_trouble


def _refuse_before_all(settings: Settings, mode: Mode) -> None:
    """Refuse what needs no look at the data, so that what is refused makes no directory a lab, or none, for ever."""
    if mode.lab and settings.role != "all":
        raise CannotStart("A lab is one process: its role is all.")
    if settings.role != "all" and not settings.database_url:
        raise CannotStart(
            f"The role {settings.role} is for several processes on one database: set UNBROKEN_DATABASE_URL."
        )
    safety.refuse(settings, is_lab=mode.lab, has_data=False)


def _shared_of(
    settings: Settings, opened: Opened, limits: Limits | None, quotas: Quotas | None
) -> list[Quotas | SharedLimits]:
    """What a process that answers calls says of them to others, and to itself for when it comes again."""
    if settings.role == "worker":
        return []
    shared: list[Quotas | SharedLimits] = [] if quotas is None else [quotas]
    if limits is not None and opened.is_shared:
        context = opened.context
        shared.append(SharedLimits(context, limits, context.randomness.uuid(context.wall.now_ms())))
    return shared


def _away_s(time: Reckoning | None) -> float:
    return 0.0 if time is None or time.away_to_ms is None else abs(time.away_to_ms - time.at_ms) / 1000


def _tell_clock(time: Reckoning) -> None:
    """The clock has jumped, and what is due by it alone is not deleted."""
    assert time.away_to_ms is not None
    assert time.believed_at_ms is not None
    told = {"clock": wire.iso(time.away_to_ms), "deletes_by": wire.iso(time.deletes_by_ms)}
    log.error("clock not believed", code="CLOCK_AWAY", **told, until=wire.iso(time.believed_at_ms))


def _tell_dead_letter(letter: DeadLetter) -> None:
    """An upload cannot be processed, and was set aside."""
    told = {"install_id": letter.install_id.hex(), "position": letter.position, "trouble": letter.trouble}
    log.error("upload set aside", code="DEAD_LETTER", **told)


def _tell_failure(user_id: UserId, error: Exception) -> None:
    """A timeline cannot be computed, and was set aside."""
    log.error("timeline failed", code="TIMELINE_FAILED", user_id=user_id.hex(), exc_info=error)
