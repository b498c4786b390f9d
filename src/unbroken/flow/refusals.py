"""Refusals: a link call that is refused leaves nothing of the call, and yet the trace of why.

The trace is made where the call is decided, under the policy of that moment, and kept in a transaction of its own after
the call's has ended, before the caller hears of it. It tells what `explain` shows at 2 a.m.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from unbroken import wire
from unbroken.domain.refusal import SENTENCES, inputs_of, otherwise
from unbroken.store import ledger, refusals

if TYPE_CHECKING:
    from unbroken.domain.errors import NotAuthenticated
    from unbroken.domain.ids import AppId, InstallId
    from unbroken.domain.link import Row, Situation
    from unbroken.flow.context import Context
    from unbroken.flow.recording import Recording
    from unbroken.store.contract import Transaction

CODE_ROW = "code"
"""In the place of a row: the authentication code was not taken, so the table was not asked."""


@dataclass(slots=True)
class Refused:
    """What one call was refused on, if it was; a call that is run again decides again."""

    app_id: AppId
    install_id: InstallId
    at: int = 0
    trace: wire.RefusedLink | None = None

    def begin(self) -> None:
        """The call is decided from here on."""
        self.trace = None

    async def note(self, recording: Recording, row: Row, looked_at: Situation) -> None:
        """The decision table said this; nothing to note where that is no refusal."""
        if not isinstance(row.answer, type):
            return
        counterfactuals = [wire.Counterfactual(one.change, "linked", one.sentence) for one in otherwise(looked_at)]
        await self._note(
            recording, row.answer.code, row.number, SENTENCES[row.number], inputs_of(looked_at), counterfactuals
        )

    async def note_code(self, recording: Recording, refusal: NotAuthenticated) -> None:
        """The authentication code was unknown, used by another install, or late."""
        await self._note(recording, refusal.code, CODE_ROW, refusal.message, {}, [])

    async def _note(
        self,
        recording: Recording,
        code: str,
        row: str,
        sentence: str,
        inputs: dict[str, Any],
        counterfactuals: list[wire.Counterfactual],
    ) -> None:
        self.at = recording.context.clock.now_ms()
        policies = await ledger.policies(recording.tx, recording.app_id)
        self.trace = wire.RefusedLink(
            at=wire.iso(self.at),
            error_code=code,
            row=row,
            sentence=sentence,
            inputs=inputs,
            policy_version=max((entry.position for entry in policies), default=0),
            actor=recording.actor,
            counterfactuals=counterfactuals,
        )

    async def keep(self, context: Context) -> None:
        """Keep the trace, if there is one: the call ended with a refusal.

        Raises:
            StoreUnavailable: then the caller is told that, and not of a decision without its trace.
        """
        if self.trace is not None:
            body = wire.encode(self.trace)
            await context.store.write(lambda tx: refusals.keep(tx, self.app_id, self.install_id, self.at, body))


async def refused_links(tx: Transaction, install_id: InstallId, until_ms: int) -> list[wire.RefusedLink]:
    """The refused link calls of an install up to an instant, newest first."""
    return [wire.decode(body, wire.RefusedLink) for body in await refusals.of_install(tx, install_id, until_ms)]
