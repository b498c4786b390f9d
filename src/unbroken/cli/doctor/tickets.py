"""Whether an install id alone is enough to link an app's installs, and what its links lately tell of changing that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unbroken.domain.app import Linking, LinkTicket
from unbroken.server.safety.finding import Finding, warning
from unbroken.store import traces

if TYPE_CHECKING:
    from unbroken.domain.app import App
    from unbroken.flow.context import Context
    from unbroken.store.traces import Tickets

_LATELY_LINKS: Final = 1_000


async def links_without_ticket(context: Context, app: App) -> list[Finding]:
    """A warning where the app links without a link ticket: whoever learns an install id has all that a link needs."""
    if app.policy.linking is Linking.OFF or app.policy.link_ticket is LinkTicket.REQUIRED:
        return []
    tickets = await context.store.read_long(lambda tx: traces.tickets_of_app(tx, app.app_id, _LATELY_LINKS))
    risk = f"The app {app.name} links an install without its own proof that it asks, a link ticket."
    remedy = f"unbroken app policy {app.app_id.hex()} link_ticket=required"
    return [warning("links of apps", f"{risk} {_advice(tickets, remedy)}")]


def _advice(tickets: Tickets, remedy: str) -> str:
    """A server that hands tickets on uses the backend kit, or does what it does; only then can one be required."""
    links, carried = tickets
    if not links:
        return f"Where your server passes it on: {remedy}"
    if carried == links:
        return f"Each of its last {links} links carried one all the same, so nobody is refused by: {remedy}"
    if carried:
        return f"Of its last {links} links {carried} carried one; the others would be refused. When all do: {remedy}"
    return f"None of its last {links} links carried one. Let your server pass on what the SDK gives, then: {remedy}"
