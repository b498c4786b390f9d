"""The virtual phones of the demo, in a process of their own; they meet the platform and the customer's server by HTTP.

    python -m unbroken.demo.phones SETTINGS.json       with UNBROKEN_API_KEY and DEMO_PASSWORD in the environment

Writes one JSON object a line: `{"at", "done"}` as time passes, `{"at", "told"}` for what happens, at last `{"result"}`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from msgspec import Struct

from unbroken import wire
from unbroken.demo import story
from unbroken.demo.backend import ACCOUNT
from unbroken.demo.day import thaw_items
from unbroken.sdk import Secret
from unbroken.testing.lab import Lab
from unbroken.testing.network import BAD, Fate
from unbroken.testing.platform import LabApp

if TYPE_CHECKING:
    from collections.abc import Sequence

_PROGRESS_STEPS: Final = 60


class PhonesSettings(Struct, frozen=True):
    """What the phones must know; secrets come by the environment."""

    platform_url: str
    backend_url: str
    app_id: str
    items_file: str
    storage: str
    time_zone: str
    begins_at: str
    seed: int
    is_one_phone: bool


def main(settings: PhonesSettings) -> None:
    """Live the day."""
    items = thaw_items(Path(settings.items_file).read_bytes())
    session = {"Authorization": f"Bearer {_login(settings.backend_url)}"}
    app = LabApp(settings.platform_url, settings.app_id, "", os.environ["UNBROKEN_API_KEY"])
    with Lab(
        app,
        seed=settings.seed,
        start=settings.begins_at,
        linker=f"{settings.backend_url}/linking/install",
        secret=lambda: _fetch_secret(settings.backend_url, session),
        conditions=BAD,
        directory=Path(settings.storage),
        time_zone=settings.time_zone,
    ) as lab:
        _show_progress(lab, items)
        robin = lab.person(ACCOUNT, external_id=f"account:{ACCOUNT}", headers=session)
        live = story.one_phone if settings.is_one_phone else story.four_installs
        installs = live(lab, robin, items, lambda text: _say({"at": lab.now_ms, "told": text}))
        lab.view.settle()
        _say({"at": lab.now_ms, "done": 1.0})
        _say({"result": {"user_id": lab.user_id(robin), "installs": installs, "network": _network(lab)}})


def _login(backend_url: str) -> str:
    given = {"name": ACCOUNT, "password": os.environ["DEMO_PASSWORD"]}
    reply = httpx.post(f"{backend_url}/login", json=given, trust_env=False).raise_for_status()
    return str(reply.json()["session"])


def _fetch_secret(backend_url: str, session: dict[str, str]) -> Secret:
    """The app secret, as an app gets it: from the customer's server, when it needs it."""
    reply = httpx.get(f"{backend_url}/app-settings", headers=session, trust_env=False).raise_for_status()
    return Secret(reply.json()["app_secret"])


def _show_progress(lab: Lab, items: Sequence[wire.Item]) -> None:
    begin_ms, end_ms = lab.now_ms, items[-1].t
    for step in range(1, _PROGRESS_STEPS):
        at_ms = begin_ms + (end_ms - begin_ms) * step // _PROGRESS_STEPS
        lab.clock.at(at_ms, lambda done=step / _PROGRESS_STEPS, at=at_ms: _say({"at": at, "done": done}))  # type: ignore[misc]


def _network(lab: Lab) -> dict[str, int]:
    return {fate.value: sum(device.network.fates[fate] for device in lab.devices) for fate in Fate}


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(wire.decode(Path(sys.argv[1]).read_bytes(), PhonesSettings))
