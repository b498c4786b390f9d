"""The whole platform: every table, a page at a time; what apps, changes and the payload log say of others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from unbroken.domain.app import Policy
from unbroken.domain.ids import AppId, UserId
from unbroken.domain.install import State
from unbroken.domain.standing import Standing
from unbroken.flow import audit_log
from unbroken.flow.verify.erased import Erased, is_given_out, is_stray
from unbroken.flow.verify.finding import Finding, Mend, Rule, key_of, shown
from unbroken.flow.verify.rows import policy_in, wrong_with
from unbroken.flow.verify.tables import TABLES
from unbroken.flow.verify.uploads import Positions
from unbroken.store import crosschecks, sealed, table_pages
from unbroken.store.standing_changes import ERASED

if TYPE_CHECKING:
    from unbroken.flow.context import Context
    from unbroken.flow.pace import Pace
    from unbroken.flow.verify.finding import Report
    from unbroken.store.contract import Transaction, Value
    from unbroken.store.table_pages import Seen, Table

ROWS_AT_ONCE: Final = 500


async def check(context: Context, report: Report, pace: Pace) -> None:
    """Look at everything that does not belong to one person."""
    for table in TABLES:
        after: tuple[Value, ...] | None = None
        while True:
            rows, findings = await context.store.read_long(_page(context, table, after))
            report.checked["rows"] += len(rows)
            report.findings += findings
            await pace.rest()
            if len(rows) < ROWS_AT_ONCE:
                break
            after = rows[-1].key
    report.findings += await context.store.read_long(_changes)
    report.findings += await _audit(context, report, pace)
    await _check_log(context, report, pace)


async def _audit(context: Context, report: Report, pace: Pace) -> list[Finding]:
    told = await audit_log.verify(context, pace=pace)
    report.checked["audit entries"] += told.entries
    if told.bad is None:
        return []
    return [Finding(Rule.AUDIT_IS_WHOLE, "audit", key_of(told.bad.position), told.bad.why, "the entry as written")]


async def _check_log(context: Context, report: Report, pace: Pace) -> None:
    positions = Positions(context.log)
    await context.store.read_long(positions.begin)
    await _pages(context, pace, positions.waiting, (-1, 0))
    await _pages(context, pace, positions.kept, (b"", 0))
    report.unaccounted = await context.store.read_long(positions.end)
    report.findings += positions.findings


async def _pages(context: Context, pace: Pace, read: Any, after: Any) -> None:
    """Read page after page, from where the one before says, until it says None."""
    while after is not None:
        after = await context.store.read_long(partial(read, after=after))
        await pace.rest()


def _page(context: Context, table: Table, after: tuple[Value, ...] | None) -> Any:
    async def read(tx: Transaction) -> tuple[list[Seen], list[Finding]]:
        rows = await table_pages.page(tx, table, after, ROWS_AT_ONCE)
        erased = Erased(context, tx, is_anybody_gone=await crosschecks.are_tombstones(tx))
        findings: list[Finding] = []
        for row in rows:
            await _unseal(tx, table.name, row.values)
            findings += await _row(tx, table, row, erased)
        return rows, findings

    return read


async def _unseal(tx: Transaction, table: str, values: dict[str, Any]) -> None:
    """Add what a sealed column says, in clear; of a damaged one, what no row can say."""
    if "sealed_id" in values:
        values["external_id"] = await sealed.as_found(tx, values["app_id"], values["sealed_id"])
    for column in values.keys() & {"credential_key", "spent_key"}:
        values[column] = await sealed.as_found(tx, values["install_id"], values[column], is_searched=False)
    if table == "idempotency":
        values["reply"] = sealed.body_as_found(tx, values["caller"], values["reply"])


async def _row(tx: Transaction, table: Table, row: Seen, erased: Erased) -> list[Finding]:
    wrong = wrong_with(table.name, row.values)
    findings = [
        Finding(Rule.ROW_READS, table.name, key_of(*row.key, column), shown(row.values[column]), expected)
        for column, expected in wrong
    ]
    if wrong:
        return findings
    findings += [await _dangling(tx, table, row, reference.column, erased) for reference in row.dangling]
    findings += await erased.findings(table.name, row)
    return findings + await _unknown(tx, table.name, row)


async def _dangling(tx: Transaction, table: Table, row: Seen, column: str, erased: Erased) -> Finding:
    value = row.values[column]
    if await erased.is_gone(value):
        return Finding(Rule.LAW_10, table.name, key_of(*row.key, column), shown(value), "no id of who was erased")
    mend = None
    if table.name == "spans" and column == "install_id" and await is_stray(tx, value):
        mend = Mend("strays", AppId(b""), bytes(value))
    if column == "user_id" and table.name in {"timelines", "checkpoints", "events", "chunks"}:
        mend = Mend("timeline", AppId(b""), bytes(value))
    return Finding(
        Rule.NAMED_IS_THERE, table.name, key_of(*row.key, column), shown(value), "something that is there", mend
    )


async def _unknown(tx: Transaction, table: str, row: Seen) -> list[Finding]:
    """Rows that the ledger has never heard of, and apps that it knows otherwise."""
    values = row.values
    match table:
        case "apps":
            return await _policy(tx, row)
        case "carriers":
            is_known = await crosschecks.is_external_id_named(tx, AppId(values["app_id"]), values["sealed_id"])
        case "installs":
            is_known = await crosschecks.is_registered(tx, values["install_id"])
        case "users":
            is_known = await is_given_out(tx, AppId(values["app_id"]), UserId(values["user_id"]))
        case _:
            return []
    return [] if is_known else [Finding(Rule.LEDGER_KNOWS, table, key_of(*row.key), "a row", "a fact that names it")]


async def _policy(tx: Transaction, row: Seen) -> list[Finding]:
    text = await crosschecks.last_policy(tx, AppId(row.values["app_id"]))
    expected = Policy() if text is None else policy_in(text)
    if policy_in(row.values["policy"]) == expected:
        return []
    return [Finding(Rule.POLICY_IS_FACT, "apps", key_of(*row.key, "policy"), row.values["policy"], str(text))]


async def _changes(tx: Transaction) -> list[Finding]:
    """What was told last to those who take uploads is how an install stands now."""
    findings = []
    for seq, install_id, told, standing, is_disabled, is_user_disabled in await crosschecks.last_changes(tx):
        if told == ERASED or standing is None:
            continue
        now = _standing(standing, is_disabled=bool(is_disabled), is_user_disabled=bool(is_user_disabled))
        if told != now:
            row = key_of(str(seq), install_id, "standing")
            findings.append(Finding(Rule.STANDING_IS_TOLD, "changes", row, shown(told), shown(now)))
    return findings


def _standing(standing: str, *, is_disabled: bool, is_user_disabled: bool) -> str:
    """As `standing_of`, of values that nobody vouches for."""
    if standing == State.DELETED:
        return Standing.DELETED
    if is_disabled:
        return Standing.INSTALL_DISABLED
    return Standing.USER_DISABLED if is_user_disabled else standing
