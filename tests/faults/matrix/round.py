"""One round: load, a fault under it, the way back, and what is found afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults.matrix.laws import broken, counted
from tests.faults.matrix.load import Load
from tests.faults.matrix.service import Back, back
from tests.model.api import Api, Connection

from unbroken.store.contract import StoreError
from unbroken.testing.member import ProcessFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.matrix.embedded import Embedded
    from tests.faults.matrix.faults import Fault, Proof
    from tests.faults.matrix.scene import Scene
    from tests.model.api import App

_BEFORE: Final = 60
_AFTER: Final = 20


@dataclass(slots=True)
class Result:
    """What a round has shown.

    Attributes:
        wrong: what is not as it must be, as sentences.
    """

    fault: str
    number: int
    back: Back
    allowed_s: float
    calls: int
    retries: int
    acknowledged: dict[str, Any]
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        told = ", ".join(f"{count} {what}" for what, count in self.acknowledged.items())
        verdict = "ok" if not self.wrong else f"WRONG: {'; '.join(self.wrong)}"
        return (
            f"{self.fault:24} round {self.number + 1:2}: answers after {self.back.answered_s:4.1f}, all processed after"
            f" {self.back.processed_s:4.1f} s of {self.allowed_s:.0f}; {self.calls} calls,"
            f" {self.retries} again; {told}; {verdict}"
        )


def play(scene: Scene | Embedded, fault: Fault, number: int) -> Result:
    """Play one round; the scene is whole again afterwards. What breaks a round off is wrong, and told as all else."""
    try:
        return _play(scene, fault, number)
    except (AssertionError, ProcessFailed, StoreError, OSError) as error:
        scene.calm()
        fault.heal(scene)
        scene.await_whole()
        never = Back(float("inf"), float("inf"))
        told = f"broken off: {type(error).__name__}: {error}"
        return Result(fault.name, number, never, fault.back_s, 0, 0, counted([]), [told])


def _play(scene: Scene | Embedded, fault: Fault, number: int) -> Result:
    app = scene.operator.new_app(f"{fault.name} {number}")
    wrong: list[str] = []
    with Load(scene.base_urls, app) as load:
        load.until(_BEFORE)
        try:
            came_back = _suffer(scene, fault, number, app, wrong)
        finally:
            scene.calm()
        load.until(_AFTER)
    scene.await_whole()
    scene.operator.await_processed()
    if max(came_back.answered_s, came_back.processed_s) > fault.back_s:
        wrong.append("back too late")
    wrong += _found(scene, fault, app, load)
    return Result(fault.name, number, came_back, fault.back_s, load.calls, load.retries, counted(load.people), wrong)


def _suffer(scene: Scene | Embedded, fault: Fault, number: int, app: App, wrong: list[str]) -> Back:
    """Inflict it and heal it; when the service was back, from the kill or from the end of what lasts."""
    since_s, mark = time.monotonic(), f"{fault.name}-{number}-{app.app_id}"
    proof: Proof | None = fault.inflict(scene, number)
    if fault.is_borne:
        came_back = back(scene.base_urls, app, since_s, mark)
        scene.revive()
        return came_back
    lasts_s = fault.lasts_s[number % len(fault.lasts_s)]
    time.sleep(lasts_s)  # the fault is how long it lasts
    wrong += proof() if proof is not None else []
    since_s = time.monotonic() if lasts_s else since_s
    fault.heal(scene)
    return back(scene.base_urls, app, since_s, mark)


def _found(scene: Scene | Embedded, fault: Fault, app: App, load: Load) -> Sequence[str]:
    """What is not as it must be, by reading from outside and by the platform's own verification."""
    connection = Connection(scene.base_urls[0])
    try:
        seen = broken(Api(connection, lab=False), app, load.people, are_clocks_right=fault.are_clocks_right)
    finally:
        connection.close()
    return [*seen, *(f"verify: {finding}" for finding in scene.operator.findings(app))]
