"""One run of the demo's day: a platform, the customer's server and the phones, each a process; then what came of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from unbroken import wire
from unbroken.demo import story
from unbroken.demo.day import Day, freeze_items
from unbroken.demo.phones import PhonesSettings
from unbroken.randomness import SystemRandomness
from unbroken.testing.member import ProcessFailed, stop_process
from unbroken.testing.platform import LabApp, View, create_app
from unbroken.testing.process import PlatformProcess, await_ready, free_port, spawn

if TYPE_CHECKING:
    from pathlib import Path

_READY_TIMEOUT_S: Final = 30.0
_MARGIN_MS: Final = 2 * 3_600_000

Watch = Callable[[dict[str, Any]], None]
"""Told every line of the phones as it comes."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run left on its platform.

    Args:
        timeline: events in order of time, as the backend API gives them.
        installs: of the person, with activations.
        items: what became of every item captured.
        names: install id to what to call it, in order of appearance.
        network: how many requests had which fate.
        story: what happened when, epoch milliseconds and words.
    """

    timeline: list[dict[str, Any]]
    installs: list[dict[str, Any]]
    items: list[dict[str, Any]]
    names: dict[str, str]
    network: dict[str, int]
    story: list[tuple[int, str]]


def live(day: Day, directory: Path, seed: int, *, is_one_phone: bool, watch: Watch) -> Outcome:
    """Live the day on a platform of its own.

    Raises:
        ProcessFailed: one of the processes did not do its part; the message carries what it wrote.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        platform = stack.enter_context(PlatformProcess(directory / "platform", seed=seed).start())
        app = create_app(platform, "demo")
        secrets = {"UNBROKEN_API_KEY": app.api_key, "DEMO_PASSWORD": SystemRandomness().secret(12).hex()}
        backend_url = _start_backend(stack, app, secrets, directory / "backend.output")
        items_file = directory / "items.json"
        items_file.write_bytes(freeze_items(day.items))
        settings = PhonesSettings(
            platform_url=platform.base_url,
            backend_url=backend_url,
            app_id=app.app_id,
            items_file=str(items_file),
            storage=str(directory / "phones"),
            time_zone=day.time_zone,
            begins_at=story.begins_at(day),
            seed=seed,
            is_one_phone=is_one_phone,
        )
        lines = _run_phones(settings, secrets, directory, watch)
        return _read_outcome(app, day, lines)


def _start_backend(stack: ExitStack, app: LabApp, secrets: dict[str, str], output: Path) -> str:
    port = free_port()
    environment = os.environ | secrets
    environment |= {"UNBROKEN_URL": app.base_url, "UNBROKEN_APP_ID": app.app_id, "UNBROKEN_APP_SECRET": app.app_secret}
    with output.open("wb") as file:
        process = spawn([sys.executable, "-m", "unbroken.demo.backend", str(port)], environment, file)
    stack.callback(stop_process, process)
    if not await_ready(process, port, _READY_TIMEOUT_S, path="/ready"):
        raise ProcessFailed(f"The customer's server of the demo did not start.\n{output.read_text(errors='replace')}")
    return f"http://127.0.0.1:{port}"


def _run_phones(
    settings: PhonesSettings, secrets: dict[str, str], directory: Path, watch: Watch
) -> list[dict[str, Any]]:
    """Every line the phones wrote; the last carries the result."""
    file = directory / "phones.json"
    file.write_bytes(wire.encode(settings))
    output = directory / "phones.output"
    lines: list[dict[str, Any]] = []
    with (
        output.open("w") as errors,
        subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-m", "unbroken.demo.phones", str(file)],
            env=os.environ | secrets,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(json.loads(line))
            watch(lines[-1])
    if process.returncode != 0 or not lines or "result" not in lines[-1]:
        raise ProcessFailed(f"The phones of the demo broke down.\n{output.read_text(errors='replace')}")
    return lines


def _read_outcome(app: LabApp, day: Day, lines: list[dict[str, Any]]) -> Outcome:
    result = lines[-1]["result"]
    view = View(app)
    try:
        return Outcome(
            timeline=view.timeline(result["user_id"], day.start_ms, day.end_ms),
            installs=view.installs(result["user_id"]),
            items=view.items(result["user_id"], day.start_ms - _MARGIN_MS, day.end_ms + _MARGIN_MS),
            names=result["installs"],
            network=result["network"],
            story=[(line["at"], line["told"]) for line in lines if "told" in line],
        )
    finally:
        view.close()
