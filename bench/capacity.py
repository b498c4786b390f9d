"""How many bytes, cores and machines so many users need: from what was measured, by arithmetic that the page shows.

`python -m bench.capacity` writes the tables into docs/explanation/capacity.md anew; `bench.storage` and `bench` measure
what goes in. A test fails where the page says otherwise than this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import marks

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "capacity.md"
USERS: Final = (1_000_000, 10_000_000, 100_000_000)
_DAY_S: Final = 86_400


class Measured(NamedTuple):
    """What `bench.storage` and `bench` told. Bytes are exact; CPU is of one core of a machine that did other work too.

    Args:
        install_bytes: of an install with its user, its link and all their facts.
        payload_day_bytes: what a phone's day takes as uploaded.
        timeline_day_bytes: what the same day takes as a timeline.
        register_us: CPU of a registration; so for the others.
        whole_way_us: of an upload, taken, kept, and made into a timeline.
        read_us: of a day of a timeline that is read.
        audit_install_bytes: of what the registration and the link of an install add to the audit log.
        audit_renewal_bytes: of what each renewal of its credential adds there.
    """

    install_bytes: int
    payload_day_bytes: int
    timeline_day_bytes: int
    register_us: int
    link_us: int
    whole_way_us: int
    read_us: int
    audit_install_bytes: int
    audit_renewal_bytes: int


class Cited(NamedTuple):
    """What earlier measurements of ours found, on the same kind of machine.

    Args:
        postgres_to_sqlite: bytes of a row in PostgreSQL to those in SQLite, with equal content: 672 to 629.
        record_overhead_bytes: of a record in JetStream, beside its body: 575 - 500.
    """

    postgres_to_sqlite: float
    record_overhead_bytes: int


class Assumed(NamedTuple):
    """What nobody can measure for you: put your own numbers here.

    Args:
        installs: of a user, over the years.
        uploads_a_day: of an active phone.
        peak: the busiest minute to the mean.
        linked_a_day: which part of the users registers and is linked anew on a day.
        renewals_a_day: of the credential of a phone in use: one each two and a half days.
        reads_a_day: of a user's timeline.
        payload_days: how long payloads are kept, `retention_days`.
        timeline_days: how many days of timeline there are, and of the audit log.
        log_hours: how far the workers may fall behind.
        database_to_application: CPU of PostgreSQL to that of APIs and workers. A guess, until it is measured.
        used: which part of a core or disk is used, at the peak.
        core_count: of a machine.
        disk_bytes: of a machine.
        copies: of the database.
        log_replicas: of a record.
    """

    installs: float = 1.5
    uploads_a_day: int = 12
    peak: float = 4.0
    linked_a_day: float = 0.03
    renewals_a_day: float = 0.4
    reads_a_day: float = 1.0
    payload_days: int = 90
    timeline_days: int = 365
    log_hours: int = 24
    database_to_application: float = 1.0
    used: float = 0.6
    core_count: int = 16
    disk_bytes: int = 4 * 10**12
    copies: int = 2
    log_replicas: int = 3


MEASURED: Final = Measured(1_636, 17_493, 23_552, 1_109, 1_614, 5_990, 570, 539, 227)
CITED: Final = Cited(672 / 629, 75)
ASSUMED: Final = Assumed()


@dataclass(frozen=True, slots=True)
class Need:
    """What so many users need."""

    users: int
    measured: Measured = MEASURED
    cited: Cited = CITED
    assumed: Assumed = ASSUMED

    @property
    def identity_bytes(self) -> float:
        """Who is who: installs, users, links, the ledger."""
        return self.users * self.assumed.installs * self.measured.install_bytes

    @property
    def payload_bytes(self) -> float:
        """What was captured, as long as it is kept."""
        return self.users * self.assumed.payload_days * self.measured.payload_day_bytes

    @property
    def timeline_bytes(self) -> float:
        """What was made of it."""
        return self.users * self.assumed.timeline_days * self.measured.timeline_day_bytes

    @property
    def audit_bytes(self) -> float:
        """Who changed what, which is kept for ever: by then, as many days as there are of timelines."""
        installs = self.assumed.installs * self.measured.audit_install_bytes
        renewals = self.assumed.timeline_days * self.assumed.renewals_a_day * self.measured.audit_renewal_bytes
        return self.users * (installs + renewals)

    @property
    def sqlite_bytes(self) -> float:
        """All of it in one file."""
        return self.identity_bytes + self.payload_bytes + self.timeline_bytes + self.audit_bytes

    @property
    def postgres_bytes(self) -> float:
        """All of it in PostgreSQL, once."""
        return self.sqlite_bytes * self.cited.postgres_to_sqlite

    @property
    def log_bytes(self) -> float:
        """What the payload log may hold on all its nodes, before the workers have caught up."""
        day = self.measured.payload_day_bytes + self.assumed.uploads_a_day * self.cited.record_overhead_bytes
        return self.users * day * self.assumed.log_hours / 24 * self.assumed.log_replicas

    @property
    def uploads_per_s(self) -> float:
        """At the peak."""
        return self._per_s(self.assumed.uploads_a_day)

    @property
    def links_per_s(self) -> float:
        """At the peak; as many registrations beside them."""
        return self._per_s(self.assumed.linked_a_day)

    @property
    def reads_per_s(self) -> float:
        """At the peak."""
        return self._per_s(self.assumed.reads_a_day)

    def _per_s(self, each_a_day: float) -> float:
        return self.users * each_a_day / _DAY_S * self.assumed.peak

    @property
    def application_cores(self) -> float:
        """Busy at the peak, of APIs and workers, or of the one embedded process."""
        us = (
            self.uploads_per_s * self.measured.whole_way_us
            + self.links_per_s * (self.measured.register_us + self.measured.link_us)
            + self.reads_per_s * self.measured.read_us
        )
        return us / 1e6

    @property
    def database_cores(self) -> float:
        """Busy at the peak, in PostgreSQL."""
        return self.application_cores * self.assumed.database_to_application

    @property
    def fits_embedded(self) -> bool:
        """Whether one process, which is one core, and one disk carry it."""
        has_core = self.application_cores <= self.assumed.used
        return has_core and self.sqlite_bytes <= self.assumed.disk_bytes * self.assumed.used

    @property
    def application_machines(self) -> int:
        """For APIs and workers, two at least."""
        return max(2, math.ceil(self.application_cores / self.assumed.core_count / self.assumed.used))

    @property
    def database_primaries(self) -> int:
        """Machines that hold all of it once: by its bytes, or by its cores."""
        by_bytes = self.postgres_bytes / self.assumed.disk_bytes / self.assumed.used
        by_cores = self.database_cores / self.assumed.core_count / self.assumed.used
        return max(1, math.ceil(max(by_bytes, by_cores)))

    @property
    def database_machines(self) -> int:
        """With the copies."""
        return self.database_primaries * self.assumed.copies

    @property
    def log_machines(self) -> int:
        """NATS nodes, as many as a record has replicas at least."""
        by_bytes = self.log_bytes / self.assumed.disk_bytes / self.assumed.used
        return max(self.assumed.log_replicas, math.ceil(by_bytes))


def size(count: float) -> str:
    """Bytes for people, in powers of ten: 1.2 TB."""
    for unit, factor in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= factor:
            return f"{count / factor:.{0 if count >= 100 * factor else 1}f} {unit}"
    return f"{count:,.0f} B"


def tables() -> dict[str, str]:
    """What stands between the marks of the page, by the mark's name."""
    needs = [Need(users) for users in USERS]
    return {"measured": _measured(), "assumed": _assumed(), "needs": _table(needs), "shown": _shown(needs[0])}


def page(text: str) -> str:
    """The page with what is computed in it."""
    return marks.fill(text, tables())


def _measured() -> str:
    m = MEASURED
    head = [("measured", "", "with"), ("---", "---", "---")]
    storage, calls = "`python -m bench.storage`", "`python -m bench`"
    return marks.rows(
        [
            *head,
            ("an install with its user, link and facts", f"{m.install_bytes:,} B", storage),
            ("a phone's day, as uploaded", f"{m.payload_day_bytes:,} B", storage),
            ("the same day, as a timeline", f"{m.timeline_day_bytes:,} B", storage),
            ("an install's registration and link, in the audit log", f"{m.audit_install_bytes:,} B", storage),
            ("a renewal of its credential, there", f"{m.audit_renewal_bytes:,} B", storage),
            ("CPU of a registration", f"{m.register_us:,} µs", calls),
            ("CPU of a link", f"{m.link_us:,} µs", calls),
            ("CPU of an upload's whole way", f"{m.whole_way_us:,} µs", storage),
            ("CPU of a day that is read", f"{m.read_us:,} µs", storage),
        ]
    )


def _assumed() -> str:
    a = ASSUMED
    return marks.rows(
        [
            ("assumed", ""),
            ("---", "---"),
            ("installs of a user", f"{a.installs:g}"),
            ("uploads of a phone on a day", f"{a.uploads_a_day}"),
            ("users that register and are linked on a day", f"{a.linked_a_day:.0%}"),
            ("renewals of a phone's credential on a day", f"{a.renewals_a_day:g}"),
            ("reads of a user's timeline on a day", f"{a.reads_a_day:g}"),
            ("the busiest minute to the mean", f"{a.peak:g}"),
            ("payloads are kept", f"{a.payload_days} days"),
            ("days of timeline, and of the audit log", f"{a.timeline_days}"),
            ("how far the workers may fall behind", f"{a.log_hours} h"),
            ("CPU of PostgreSQL to that of APIs and workers (a guess)", f"{a.database_to_application:g}"),
            ("a machine", f"{a.core_count} cores, {size(a.disk_bytes)}, used to {a.used:.0%}"),
            ("copies of the database; of a record in the log", f"{a.copies}; {a.log_replicas}"),
        ]
    )


def _table(needs: list[Need]) -> str:
    rows: list[tuple[str, list[str]]] = [
        ("", [f"{need.users // 10**6:,} million users" for need in needs]),
        ("---", ["---:" for _ in needs]),
        ("who is who", [size(need.identity_bytes) for need in needs]),
        ("payloads", [size(need.payload_bytes) for need in needs]),
        ("timelines", [size(need.timeline_bytes) for need in needs]),
        ("audit log", [size(need.audit_bytes) for need in needs]),
        ("**in SQLite**", [f"**{size(need.sqlite_bytes)}**" for need in needs]),
        ("in PostgreSQL, once", [size(need.postgres_bytes) for need in needs]),
        ("payload log, all nodes", [size(need.log_bytes) for need in needs]),
        ("uploads a second, peak", [f"{need.uploads_per_s:,.0f}" for need in needs]),
        ("links a second, peak", [f"{need.links_per_s:,.1f}" for need in needs]),
        ("cores of the platform, peak", [f"{need.application_cores:,.1f}" for need in needs]),
        ("one embedded process is enough", ["yes" if need.fits_embedded else "no" for need in needs]),
        ("machines: APIs and workers", [str(need.application_machines) for need in needs]),
        ("machines: PostgreSQL", [str(need.database_machines) for need in needs]),
        ("machines: NATS", [str(need.log_machines) for need in needs]),
    ]
    return marks.rows([(name, *values) for name, values in rows])


def _shown(need: Need) -> str:
    lines = "".join(f"{name:<14}{sum_of}\n" for name, sum_of in _arithmetic(need))
    return f"```text\n{lines}```\n"


def _arithmetic(need: Need) -> Iterator[tuple[str, str]]:
    m, a, users = need.measured, need.assumed, f"{need.users:,} users"
    yield "who is who", f"{users} x {a.installs:g} installs x {m.install_bytes:,} B = {size(need.identity_bytes)}"
    yield "payloads", f"{users} x {a.payload_days} days x {m.payload_day_bytes:,} B = {size(need.payload_bytes)}"
    yield "timelines", f"{users} x {a.timeline_days} days x {m.timeline_day_bytes:,} B = {size(need.timeline_bytes)}"
    renewals = f"{a.timeline_days} days x {a.renewals_a_day:g} x {m.audit_renewal_bytes:,} B"
    entries = f"{a.installs:g} x {m.audit_install_bytes:,} B + {renewals}"
    yield "audit log", f"{users} x ({entries}) = {size(need.audit_bytes)}"
    yield "PostgreSQL", f"{size(need.sqlite_bytes)} x 672/629 = {size(need.postgres_bytes)}"
    record = f"({m.payload_day_bytes:,} B + {a.uploads_a_day} x {need.cited.record_overhead_bytes} B)"
    yield "payload log", f"{users} x {record} x {a.log_hours}/24 x {a.log_replicas} = {size(need.log_bytes)}"
    yield "uploads", f"{users} x {a.uploads_a_day} / {_DAY_S:,} s x {a.peak:g} = {need.uploads_per_s:,.0f} a second"
    calls = (
        f"{need.links_per_s:,.1f} x ({m.register_us:,} + {m.link_us:,}) us + {need.reads_per_s:,.0f} x {m.read_us:,} us"
    )
    yield "cores", f"{need.uploads_per_s:,.0f} x {m.whole_way_us:,} us + {calls} = {need.application_cores:,.2f}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
