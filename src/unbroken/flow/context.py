"""What every step is given: where things rest, and what tells the time, makes ids and signs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from unbroken.clock import Clock
    from unbroken.credentials import Vault
    from unbroken.domain.ids import AppId
    from unbroken.flow.standings import Standings
    from unbroken.log.contract import PayloadLog
    from unbroken.randomness import Randomness
    from unbroken.store.contract import Store


@dataclass(frozen=True, slots=True)
class Context:
    """See the module.

    Args:
        clock: the platform's time; in a lab it is a header's.
        wall: the system's time, in a lab too: for the life of API keys, and for leases.
        lab: whether this is a lab.
        account: whose account of the operating system a command runs under, for the audit log; empty in a server.
    """

    store: Store
    log: PayloadLog
    clock: Clock
    wall: Clock
    randomness: Randomness
    vault: Vault
    standings: Standings
    lab: bool
    account: str = ""

    def behind(self) -> Context:
        """The same for work that nobody waits for (`Store.behind`)."""
        store = self.store.behind()
        return self if store is self.store else replace(self, store=store)

    def tried(self, dry_run: bool) -> Context:
        """The same for a call that may be a dry run: that gets the ids of the real call, and uses up none."""
        return replace(self, randomness=self.randomness.ahead()) if dry_run else self

    def of_app(self, app_id: AppId) -> Context:
        """The same for what one app's callers ask (`Store.of_app`)."""
        store = self.store.of_app(app_id)
        return self if store is self.store else replace(self, store=store)
