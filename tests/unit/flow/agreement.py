"""The guard: at every instant the tables say of everybody what the fold of the ledger says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.ids import InstallId
from unbroken.flow.verify.people import Looked, look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.testing.in_process import InProcess, Phone


async def assert_tables_are_the_fold(platform: InProcess, phones: Iterable[Phone]) -> None:
    """Every row of these installs and of everybody they ever had to do with; and no fact stands that a rule refuses."""
    seen: set[bytes] = set()
    for install_id in [InstallId(bytes.fromhex(phone.install_id)) for phone in phones]:
        if install_id not in seen:
            looked = await looked_at(platform, install_id)
            assert looked.unreadable is None
            assert looked.refused == []
            assert looked.differs == []
            seen.update(looked.installs)


async def looked_at(platform: InProcess, install_id: InstallId) -> Looked:
    return await platform.context.store.read(lambda tx: look(tx, platform.app.app_id, install_id))
