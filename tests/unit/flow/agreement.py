"""The guard: at every instant the tables say of everybody what the fold of the ledger says, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from unbroken.domain.ids import InstallId
from unbroken.flow.verify.people import Looked, look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from unbroken.domain.ids import AppId
    from unbroken.store.contract import Store
    from unbroken.testing.in_process import InProcess, Phone


async def assert_tables_are_the_fold(platform: InProcess, phones: Iterable[Phone]) -> None:
    """Every row of these installs and of everybody they ever had to do with; and no fact stands that a rule refuses."""
    await assert_agree(platform.context.store, platform.app.app_id, [phone.install_id for phone in phones])


async def assert_agree(store: Store, app_id: AppId, installs: Iterable[str]) -> set[bytes]:
    """The same; returns the installs that were looked at, which erased ones are not among."""
    seen: set[bytes] = set()
    for install_id in [InstallId(bytes.fromhex(one)) for one in installs]:
        if install_id not in seen:
            looked = await store.read(lambda tx, one=install_id: look(tx, app_id, one))
            assert looked.unreadable is None
            assert looked.refused == []
            assert looked.differs == []
            seen.update(looked.installs)
    return seen


async def looked_at(platform: InProcess, install_id: InstallId) -> Looked:
    return await platform.context.store.read(lambda tx: look(tx, platform.app.app_id, install_id))
