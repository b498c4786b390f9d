from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from unbroken.clock import ManualClock
from unbroken.randomness import SystemRandomness
from unbroken.sdk import AsyncSdk, Config, Sdk, Secret, Storage

_spec = importlib.util.spec_from_file_location("sdk_fake_platform", Path(__file__).with_name("fake_platform.py"))
fake_platform = importlib.util.module_from_spec(_spec)
sys.modules["sdk_fake_platform"] = fake_platform
_spec.loader.exec_module(fake_platform)


class AtOnce(SystemRandomness):
    """Jitter that never waits."""

    def fraction(self) -> float:
        return 0.0


class Awaited:
    """An AsyncSdk that is called like an Sdk: each coroutine is run to its end on one loop."""

    def __init__(self, config: Config) -> None:
        self.runner = asyncio.Runner()
        self.runner.get_loop()
        self.sdk = self.runner.run(self._open(config))

    async def _open(self, config: Config) -> AsyncSdk:
        return AsyncSdk(config)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self.sdk, name)
        if not inspect.iscoroutinefunction(value):
            return value
        return lambda *a, **k: self.runner.run(value(*a, **k))

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.sdk.close())
        self.runner.close()


class Phone:
    """A device: a storage that survives, and SDKs opened on it one after the other."""

    def __init__(self, platform: Any, path: Path) -> None:
        self.platform = platform
        self.path = path
        self.clock = ManualClock(1_790_000_000_000)
        self.offline = False
        self.secrets_asked = 0
        self.opened: list[Any] = []

    def config(self, **settings: Any) -> Config:
        defaults = {
            "app_id": fake_platform.APP_ID,
            "base_url": "http://127.0.0.1:1",
            "storage": Storage(self.path),
            "secret": self.secret,
            "link": self.platform.link,
            "transport": httpx.MockTransport(self.answer),
            "clock": self.clock,
            "randomness": AtOnce(),
            "upload_every_s": None,
        }
        return Config(**{**defaults, **settings})

    def secret(self) -> Secret:
        self.secrets_asked += 1
        return Secret(fake_platform.APP_SECRET)

    def answer(self, request: httpx.Request) -> httpx.Response:
        if self.offline:
            raise httpx.ConnectError("no network")
        status, body, headers = self.platform.handle(
            request.method, request.url.path, dict(request.headers), request.content
        )
        return httpx.Response(status, content=body, headers=headers)


@pytest.fixture
def platform() -> Any:
    return fake_platform.FakePlatform()


@pytest.fixture
def phone(platform: Any, tmp_path: Path) -> Phone:
    return Phone(platform, tmp_path / "device")


@pytest.fixture(params=[Sdk, Awaited], ids=["blocking", "asyncio"])
def open_sdk(request: pytest.FixtureRequest, phone: Phone) -> Any:
    """Opens an SDK of either shell on the phone."""

    def opened(**settings: Any) -> Any:
        return request.param(phone.config(**settings))

    return opened


@pytest.fixture
def sdk(open_sdk: Any) -> Any:
    """An SDK of either shell, initialised."""
    with open_sdk() as sdk:
        sdk.init()
        yield sdk
